use weft::{Message, Plugin, Verdict};

/// Passes everything: what is measured is the SDK.
struct Pass;

impl Plugin for Pass {
    fn init(_config: &str) -> Result<Self, String> {
        Ok(Pass)
    }

    fn message(&mut self, _m: &mut Message) -> Verdict {
        Verdict::Continue
    }
}

weft::plugin!(Pass);
