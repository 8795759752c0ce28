//! A plugin with a state of 1 MiB, for measurements of swaps that hand it over. It
//! counts messages; the counter is the state's first eight bytes.

use weft::metrics::Gauge;
use weft::{Message, Needs, Plugin, Verdict};

const SIZE: usize = 1 << 20;

struct Stateful {
    state: Vec<u8>,
    count: u64,
    gauge: Gauge,
}

impl Plugin for Stateful {
    fn init(_config: &str) -> Result<Self, String> {
        let gauge = Gauge::new("messages").map_err(|_| "no metric")?;
        Ok(Stateful { state: vec![1; SIZE], count: 0, gauge })
    }

    fn needs(&self) -> Needs {
        Needs::none()
    }

    fn message(&mut self, _m: &mut Message) -> Verdict {
        self.count += 1;
        self.gauge.set(self.count as f64);
        Verdict::Continue
    }

    fn snapshot(&mut self) -> Option<Vec<u8>> {
        self.state[..8].copy_from_slice(&self.count.to_le_bytes());
        Some(self.state.clone())
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), String> {
        if state.len() != SIZE {
            return Err("a state of another size".into());
        }
        let mut count = [0; 8];
        count.copy_from_slice(&state[..8]);
        self.count = u64::from_le_bytes(count);
        self.state.copy_from_slice(state);
        Ok(())
    }
}

weft::plugin!(Stateful, hooks: [snapshot]);
