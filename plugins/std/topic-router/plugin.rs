//! Sends messages where rules say: to another topic, a copy to a second one, to
//! destinations, or nowhere.

mod rules;
#[path = "../settings.rs"]
mod settings;
mod template;

use rules::{Action, Rule};
use template::Template;
use weft::{Content, Emit, Message, Needs, Plugin, Verdict, Writer};

struct TopicRouter {
    rules: Vec<Rule>,
}

impl Plugin for TopicRouter {
    fn init(config: &str) -> Result<Self, String> {
        Ok(TopicRouter { rules: rules::parse(config)? })
    }

    fn needs(&self) -> Needs {
        rules::needs(&self.rules)
    }

    #[inline]
    fn message(&mut self, m: &mut Message) -> Verdict {
        for rule in &self.rules {
            if !rule.applies(m) {
                continue;
            }
            let done = match &rule.action {
                Action::Topic(t) => t.set_topic(m),
                Action::Emit(t) => write(t, m).and_then(|topic| emit(m, &topic)),
                Action::Route(t) => match write(t, m) {
                    Ok(lines) => return Verdict::Route(lines.place()),
                    Err(reason) => Err(reason),
                },
                Action::Drop(reason) => return Verdict::drop(reason),
            };
            if let Err(reason) = done {
                return Verdict::drop(reason);
            }
            if rule.last {
                break;
            }
        }
        Verdict::Continue
    }
}

fn write<'t>(t: &'t Template, m: &Message) -> Result<Writer, &'t str> {
    let mut text = Writer::new();
    t.write(m, &mut text)?;
    Ok(text)
}

/// Emits a copy of the message to another topic.
#[inline(never)]
fn emit<'t>(m: &mut Message, topic: &[u8]) -> Result<(), &'t str> {
    const FEW: usize = 32;
    let topic = core::str::from_utf8(topic).map_err(|_| "topic: not UTF-8")?;
    let mut few = [("", &[][..]); FEW];
    let many: Vec<(&str, &[u8])>;
    let mut attributes = m.attributes();
    let mut n = 0;
    for (place, attribute) in few.iter_mut().zip(&mut attributes) {
        *place = attribute;
        n += 1;
    }
    let list = match n {
        FEW => {
            many = m.attributes().collect();
            &many[..]
        }
        n => &few[..n],
    };
    let payload = m.payload();
    m.emit(Emit { topic, payload, attributes: list, priority: m.priority(), qos: m.qos(), ..Emit::default() });
    Ok(())
}

weft::plugin!(TopicRouter);
