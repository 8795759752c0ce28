use weft::{Message, Needs, Plugin, Verdict};

struct Hello;

impl Plugin for Hello {
    fn init(_config: &str) -> Result<Self, String> {
        Ok(Hello)
    }

    fn needs(&self) -> Needs {
        Needs::none().topic()
    }

    fn message(&mut self, m: &mut Message) -> Verdict {
        m.set_topic(["hello/", m.topic()]);
        Verdict::Continue
    }
}

weft::plugin!(Hello);
