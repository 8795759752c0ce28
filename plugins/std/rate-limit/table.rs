//! The buckets of an instance, a bounded number of them.
//!
//! A bucket that is full says no more than one that is not there, so that its
//! place can be given away. Where no bucket of a set is full, the one that will
//! be so first gives way, and the set remembers when that will be: whoever comes
//! to the set anew, perhaps the one that had to go, begins with no more than it
//! had. So nobody gains by being forgotten, and strangers lose at most what was
//! about to be full.

use crate::bucket::{Answer, Limit};
use crate::key::{Key, KEY};
use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher;

const WAYS: usize = 8;

#[derive(Clone, Copy)]
struct Bucket {
    key: [u8; KEY],
    full_at: i64,
}

const NONE: Bucket = Bucket { key: [0; KEY], full_at: 0 };

#[derive(Clone)]
struct Set {
    buckets: [Bucket; WAYS],
    /// When the last of those that had to go is full again.
    floor: i64,
}

pub struct Table {
    sets: Vec<Set>,
    /// Keeps who chooses keys from choosing where they fall.
    seed: u64,
}

impl Table {
    /// A table for at least so many keys.
    pub fn new(keys: usize, seed: u64) -> Table {
        let sets = ((keys + WAYS - 1) / WAYS).next_power_of_two();
        Table { sets: vec![Set { buckets: [NONE; WAYS], floor: 0 }; sets], seed }
    }

    /// Takes tokens out of the bucket of a key.
    #[inline]
    pub fn take(&mut self, key: &Key, tokens: u64, now: i64, limit: &Limit) -> Answer {
        let set = self.set(key.bytes());
        if let Some(bucket) = set.buckets.iter_mut().find(|b| b.key == *key.bytes()) {
            let (answer, full_at) = limit.take(bucket.full_at, tokens, now);
            bucket.full_at = full_at;
            return answer;
        }
        set.floor = limit.known(set.floor, now);
        let (answer, full_at) = limit.take(set.floor, tokens, now);
        set.put(key.bytes(), full_at, now);
        answer
    }

    #[inline]
    fn set(&mut self, key: &[u8; KEY]) -> &mut Set {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.seed);
        hasher.write(key);
        let at = hasher.finish() as usize & (self.sets.len() - 1);
        &mut self.sets[at]
    }

    /// Writes everything that is not full at `now`: the limit's period, and for
    /// each bucket its key and how long it takes to be full.
    pub fn write(&self, now: i64, period: f64, to: &mut Vec<u8>) {
        to.extend(period.to_le_bytes());
        let floor = self.sets.iter().map(|s| s.floor).max().unwrap_or(0);
        to.extend((floor - now).max(0).to_le_bytes());
        for bucket in self.sets.iter().flat_map(|s| &s.buckets) {
            if bucket.key != NONE.key && bucket.full_at > now {
                to.extend(bucket.key);
                to.extend((bucket.full_at - now).to_le_bytes());
            }
        }
    }

    /// Takes over what [`Table::write`] wrote. Under another limit the same number
    /// of tokens is missing. Where keys fall is another matter now: each set takes
    /// over the highest floor of all.
    pub fn read(&mut self, state: &[u8], now: i64, limit: &Limit) -> Result<(), String> {
        const MALFORMED: &str = "the former generation's state is malformed";
        let number = |b: &[u8]| -> [u8; 8] { b.try_into().unwrap_or_default() };
        if state.len() < 16 || (state.len() - 16) % (KEY + 8) != 0 {
            return Err(MALFORMED.into());
        }
        let scale = limit.period() / f64::from_le_bytes(number(&state[..8]));
        if !scale.is_finite() || scale <= 0.0 {
            return Err(MALFORMED.into());
        }
        let moment = |b: &[u8]| {
            let missing = i64::from_le_bytes(number(b)).max(0);
            let missing = if scale == 1.0 { missing } else { (missing as f64 * scale).ceil() as i64 };
            limit.known(now.saturating_add(missing), now)
        };
        let floor = moment(&state[8..16]);
        for set in &mut self.sets {
            set.floor = set.floor.max(floor);
        }
        for entry in state[16..].chunks_exact(KEY + 8) {
            let (key, missing) = entry.split_at(KEY);
            let key: [u8; KEY] = key.try_into().unwrap_or(NONE.key);
            self.set(&key).put(&key, moment(missing), now);
        }
        Ok(())
    }
}

impl Set {
    /// Gives a key a bucket: a free or full one's place, else that of the first to
    /// be full.
    fn put(&mut self, key: &[u8; KEY], full_at: i64, now: i64) {
        if full_at <= now {
            return; // full, as it is without a place
        }
        let mut first = 0;
        for (i, b) in self.buckets.iter().enumerate() {
            if b.full_at < self.buckets[first].full_at {
                first = i;
            }
        }
        let bucket = &mut self.buckets[first];
        if bucket.full_at > now {
            if full_at <= bucket.full_at {
                self.floor = self.floor.max(full_at); // it is the first to be full itself
                return;
            }
            self.floor = self.floor.max(bucket.full_at);
        }
        *bucket = Bucket { key: *key, full_at };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u32) -> Key {
        Key::text(&n.to_le_bytes())
    }

    /// Every key gets at most what its own bucket would have given, however many
    /// others come between, and in a table with room it gets all of that.
    #[test]
    fn nobody_gains_by_being_forgotten() {
        let limit = Limit::new(10, 1, 5);
        for (room, keys) in [(8, 200u32), (64, 200), (4096, 200)] {
            let mut table = Table::new(room, 42);
            let mut own = vec![0i64; keys as usize];
            let (mut now, mut random) = (1_700_000_000_000_000_000i64, 1u64);
            let (mut passed, mut allowed) = (0, 0);
            for _ in 0..100_000 {
                random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                now += (random >> 44) as i64;
                let n = (random >> 33) as u32 % keys;
                let got = table.take(&key(n), 1, now, &limit);
                let (answer, full_at) = limit.take(own[n as usize], 1, now);
                allowed += (answer == Answer::Passes) as u32;
                if got == Answer::Passes {
                    passed += 1;
                    // What passed must have been allowed by the key's own bucket.
                    assert_eq!(answer, Answer::Passes, "key {} gained in a table for {}", n, room);
                    own[n as usize] = full_at;
                }
            }
            assert!(passed > 1000);
            if room > 4000 {
                assert_eq!(passed, allowed);
            }
        }
    }

    #[test]
    fn a_swap_keeps_what_is_missing() {
        let now = 1_700_000_000_000_000_000i64;
        let (slow, fast) = (Limit::new(1, 1, 4), Limit::new(2, 1, 4));
        for (limit, room) in [(&slow, 4096), (&fast, 4096), (&slow, 8)] {
            let mut old = Table::new(4096, 1);
            for n in 0..40 {
                for _ in 0..n % 5 {
                    old.take(&key(n), 1, now, &slow);
                }
            }
            let mut state = Vec::new();
            old.write(now, slow.period(), &mut state);
            let mut new = Table::new(room, 2);
            new.read(&state, now, limit).unwrap();
            for n in 0..40 {
                let left = (0..9).filter(|_| new.take(&key(n), 1, now, limit) == Answer::Passes).count();
                let had = 4 - (n % 5) as usize;
                assert!(left == had || room == 8 && left < had, "key {}: {} left of {}", n, left, had);
            }
        }
    }

    #[test]
    fn malformed_states_are_refused() {
        let limit = Limit::new(1, 1, 4);
        for state in [&[][..], &[0; 15], &[0; 16], &[0xff; 16], &[1; 17 + KEY]] {
            assert!(Table::new(8, 1).read(state, 0, &limit).is_err(), "{:?}", state);
        }
    }
}
