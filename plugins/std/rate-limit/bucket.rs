//! A bucket of tokens as one number: the moment at which it is full again (the
//! generic cell rate algorithm, ITU-T I.371, with that moment as theoretical
//! arrival time). A moment that has passed says full.

const SECOND: u128 = 1_000_000_000;

/// How fast buckets fill and how much they hold, in nanoseconds.
#[derive(Clone)]
pub struct Limit {
    /// For how many tokens it takes how many nanoseconds.
    tokens: u64,
    time: u64,
    /// How long an empty bucket takes to be full.
    whole: i64,
}

/// What a bucket says to a message.
#[derive(Debug, PartialEq)]
pub enum Answer {
    Passes,
    Over,
    /// It costs more than a bucket holds.
    Never,
}

impl Limit {
    /// `tokens` in so many seconds, and at most `burst` at once.
    pub fn new(tokens: u64, seconds: u64, burst: u64) -> Limit {
        let mut limit = Limit { tokens, time: seconds * SECOND as u64, whole: 0 };
        limit.whole = limit.time_for(burst).unwrap_or(i64::MAX);
        limit
    }

    /// How long so many tokens take, rounded up: a bucket never gains by it. None
    /// is longer than anybody waits.
    #[inline]
    fn time_for(&self, tokens: u64) -> Option<i64> {
        let time = match tokens.checked_mul(self.time) {
            Some(product) => (product + (self.tokens - 1)) / self.tokens,
            None => u64::try_from((tokens as u128 * self.time as u128 + self.tokens as u128 - 1) / self.tokens as u128).ok()?,
        };
        Some(time as i64).filter(|t| (0..=LONGEST).contains(t))
    }

    /// Takes tokens out of a bucket, and gives the moment at which it is then full.
    #[inline]
    pub fn take(&self, full_at: i64, tokens: u64, now: i64) -> (Answer, i64) {
        let time = match self.time_for(tokens) {
            Some(time) if time <= self.whole => time,
            _ => return (Answer::Never, full_at),
        };
        let full_at = self.known(full_at, now);
        let then = full_at.max(now) + time;
        match then - now <= self.whole {
            true => (Answer::Passes, then),
            false => (Answer::Over, full_at),
        }
    }

    /// A moment later than an empty bucket would be full is from before the clock
    /// was set back, or of another limit: the bucket is empty.
    #[inline]
    pub fn known(&self, full_at: i64, now: i64) -> i64 {
        full_at.min(now + self.whole)
    }

    /// Nanoseconds a token.
    pub fn period(&self) -> f64 {
        self.time as f64 / self.tokens as f64
    }
}

/// A hundred years: sums with the time stay within their type.
const LONGEST: i64 = 100 * 366 * 86_400 * 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_with_time() {
        let limit = Limit::new(10, 1, 3);
        let now = 1_700_000_000_000_000_000;
        let mut full_at = 0;
        let mut take = |tokens, now| {
            let (answer, then) = limit.take(full_at, tokens, now);
            full_at = then;
            answer
        };
        assert_eq!([take(1, now), take(1, now), take(1, now), take(1, now)], [Answer::Passes, Answer::Passes, Answer::Passes, Answer::Over]);
        assert_eq!([take(1, now + 99_999_999), take(1, now + 100_000_000), take(1, now + 100_000_001)], [Answer::Over, Answer::Passes, Answer::Over]);
        assert_eq!([take(4, now), take(3, now + 1_000_000_000)], [Answer::Never, Answer::Passes]);
    }

    #[test]
    fn a_clock_that_is_set_back_gives_nothing_and_locks_nobody_out() {
        let limit = Limit::new(1, 1, 2);
        let hour = 3_600_000_000_000;
        let (_, full_at) = limit.take(0, 2, 10 * hour);
        assert_eq!(limit.take(full_at, 1, 9 * hour).0, Answer::Over);
        assert_eq!(limit.take(full_at, 1, 9 * hour + 999_999_999).0, Answer::Over);
        let (answer, full_at) = limit.take(full_at, 1, 9 * hour);
        assert_eq!(answer, Answer::Over);
        assert_eq!(limit.take(full_at, 1, 9 * hour + 1_000_000_000).0, Answer::Passes);
    }

    #[test]
    fn odd_and_large_rates_never_give_more() {
        for (tokens, seconds, burst) in [(3, 1, 7), (7, 60, 1), (999_999_937, 1, 65_536), (1, 86_400, 2)] {
            let limit = Limit::new(tokens, seconds, burst);
            let (mut full_at, mut taken, mut asked, mut now) = (0, 0u128, 0u128, 1_700_000_000_000_000_000i64);
            let begin = now;
            for i in 0..100_000u64 {
                now += (i as i64 * 7919) % 977_777;
                let want = 1 + i % burst;
                let (answer, then) = limit.take(full_at, want, now);
                full_at = then;
                asked += want as u128;
                if answer == Answer::Passes {
                    taken += want as u128;
                }
            }
            let allowed = burst as u128 + (now - begin) as u128 * tokens as u128 / (seconds as u128 * SECOND);
            assert!(taken <= allowed, "{} of {} at {}/{}", taken, allowed, tokens, seconds);
            assert!(taken * 2 >= allowed.min(asked), "{} of {} at {}/{}", taken, allowed, tokens, seconds);
        }
    }
}
