//! Lets through so many messages, or bytes, a second for each key.

mod bucket;
mod config;
mod key;
mod pool;
#[path = "../settings.rs"]
mod settings;
#[path = "../jwt-auth/sha256.rs"]
mod sha256;
mod table;

use bucket::Answer;
use config::{Config, Over};
use key::Key;
use table::Table;
use weft::{clock, Hook, Message, Needs, Plugin, Verdict};

/// What a session's context is called with the address that it came from.
const SOURCE: &str = "source";
/// A message that not even a full bucket would let through.
const LARGE: &str = "rate: larger than the burst";

struct RateLimit {
    config: Config,
    table: Table,
}

impl Plugin for RateLimit {
    fn init(config: &str) -> Result<Self, String> {
        let config = config::parse(config)?;
        // What keys fall together must not be foreseen by who chooses them.
        let seed = clock::wall() as u64 ^ (clock::monotonic() as u64).rotate_left(32);
        let table = Table::new(config.keys, seed);
        Ok(RateLimit { config, table })
    }

    fn needs(&self) -> Needs {
        let needs = self.config.key.needs(Needs::none());
        let needs = match self.config.over {
            Over::Mark(..) => needs.attributes(),
            _ => needs,
        };
        match self.config.key.source() {
            true => needs.context(),
            false => needs.without(Hook::Open),
        }
    }

    fn open(&mut self, session: &mut Message) -> Verdict {
        if let Some(address) = session.attribute("peer").and_then(key::without_port) {
            session.set_context(SOURCE, address);
        }
        Verdict::Continue
    }

    #[inline]
    fn message(&mut self, m: &mut Message) -> Verdict {
        if m.session() == 0 {
            return Verdict::Continue; // weft's own, or published through its API
        }
        let cost = match self.config.bytes {
            true => m.payload_total() as u64,
            false => 1,
        };
        let key = Key::of(&self.config.key, m);
        match self.take(&key, cost, m.time()) {
            Answer::Passes => Verdict::Continue,
            Answer::Over => self.over(m, None),
            Answer::Never => self.over(m, Some(LARGE)),
        }
    }

    fn snapshot(&mut self) -> Option<Vec<u8>> {
        let mut state = self.config.print().to_vec();
        self.table.write(clock::wall(), self.config.limit.period(), &mut state);
        Some(state)
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), String> {
        // Buckets that were counted by other keys say nothing about these.
        match state.strip_prefix(&self.config.print()) {
            Some(state) => self.table.read(state, clock::wall(), &self.config.limit),
            None => Ok(()),
        }
    }
}

impl RateLimit {
    #[inline]
    fn take(&mut self, key: &Key, cost: u64, now: i64) -> Answer {
        let limit = &self.config.limit;
        if self.config.shared {
            if let Some(answer) = pool::take(key, cost, now, limit) {
                return answer;
            }
        }
        self.table.take(key, cost, now, limit)
    }

    /// What becomes of a message that is over the rate.
    #[cold]
    fn over(&self, m: &mut Message, reason: Option<&str>) -> Verdict {
        let reason = reason.unwrap_or(&self.config.reason);
        match &self.config.over {
            Over::Drop => Verdict::drop(reason),
            Over::Close => Verdict::close(reason),
            Over::Reply(text) => Verdict::reply(text),
            Over::Mark(name, value) => {
                m.set_attribute(name, value);
                Verdict::Continue
            }
        }
    }
}

weft::plugin!(RateLimit, hooks: [open, snapshot]);
