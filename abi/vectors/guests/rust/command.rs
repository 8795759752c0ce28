//! The commands.

use crate::report::Report;
use crate::value::{name, read};
use std::str::{FromStr, SplitAsciiWhitespace};
use std::time::Duration;
use weft::{clock, filter, http, kv, log, metrics, random, Emit, Error, Message, Type, Verdict};

/// One message's commands being carried out.
pub struct Run<'a> {
    hook: &'static str,
    count: &'a mut u64,
    sent: &'a mut u64,
    report: Report,
    verdict: Option<Verdict>,
}

type Words<'w> = SplitAsciiWhitespace<'w>;

fn word<'w>(w: &mut Words<'w>) -> &'w str {
    w.next().expect("an argument")
}

fn number<T: FromStr>(w: &mut Words) -> T {
    word(w).parse().ok().expect("a number")
}

fn ttl(w: &mut Words) -> Option<Duration> {
    match number(w) {
        0 => None,
        milliseconds => Some(Duration::from_millis(milliseconds)),
    }
}

impl<'a> Run<'a> {
    /// `sent` is the token of the last request that was begun.
    pub fn new(hook: &'static str, count: &'a mut u64, sent: &'a mut u64) -> Run<'a> {
        Run { hook, count, sent, report: Report::default(), verdict: None }
    }

    /// Carries out the commands of the configuration, of the attribute `do`, or
    /// of the payload. `decides`: the hook may answer with other verdicts than
    /// continue.
    pub fn all(mut self, m: &mut Message, configured: Option<&str>, decides: bool) -> Verdict {
        let given = m.attribute("do").unwrap_or_else(|| m.payload());
        let commands = match configured {
            Some(c) => c.to_string(),
            None => String::from_utf8_lossy(given).into_owned(),
        };
        for line in commands.split('\n') {
            let mut words = line.split_ascii_whitespace();
            if let Some(verb) = words.next() {
                self.one(verb, &mut words, m);
            }
        }
        let report = self.report.text;
        if !report.is_empty() {
            if decides && self.verdict.is_none() {
                return Verdict::reply(report);
            }
            m.emit(Emit { topic: "report", payload: report.as_bytes(), ..Emit::default() });
        }
        match self.verdict {
            Some(verdict) if decides => verdict,
            _ => Verdict::Continue,
        }
    }

    fn one(&mut self, verb: &str, w: &mut Words, m: &mut Message) {
        match verb {
            "trap" => panic!("a command said so"),
            "continue" => self.verdict = Some(Verdict::Continue),
            "drop" => self.verdict = Some(Verdict::drop(read(word(w)).as_ref())),
            "close" => self.verdict = Some(Verdict::close(read(word(w)).as_ref())),
            "reply" => self.verdict = Some(Verdict::reply(read(word(w)).as_ref())),
            "route" => self.verdict = Some(Verdict::route(&w.collect::<Vec<_>>())),
            "pause" => self.verdict = Some(Verdict::Pause(number(w))),
            "await" => self.verdict = Some(Verdict::Pause(*self.sent)),
            "http" => self.http(w),
            "emit" => emit(w, m),
            "emits" => {
                let (n, topic) = (number::<u32>(w), name(word(w)));
                for i in 0..n {
                    m.emit(Emit { topic: &topic, payload: i.to_string().as_bytes(), ..Emit::default() });
                }
            }
            "subscribe" => m.subscribe(read(word(w)).as_ref(), number(w)),
            "unsubscribe" => m.unsubscribe(read(word(w)).as_ref()),
            _ => {
                if !change(verb, w, m) && !self.read(verb, w, m) && !self.host(verb, w) && !self.kv(verb, w) && !self.filter(verb, w, m) {
                    self.report.line("unknown").value(verb).end();
                }
            }
        }
    }

    fn read(&mut self, verb: &str, w: &mut Words, m: &Message) -> bool {
        let r = &mut self.report;
        match verb {
            "echo" => r.echo(self.hook, m),
            "attribute" => {
                let n = name(word(w));
                r.line(verb).value(&n).found(m.attribute(&n)).end();
            }
            "context" => {
                let n = name(word(w));
                r.line(verb).value(&n).found(m.context(&n)).end();
            }
            "digest" => {
                let field = word(w);
                r.line(verb).word(field);
                match field {
                    "topic" => r.digest([m.topic_bytes()].into_iter()),
                    "payload" => r.digest([m.payload()].into_iter()),
                    _ => r.digest(m.attributes().flat_map(|(n, v)| [n.as_bytes(), v])),
                };
                r.end();
            }
            "answer" => match m.answer().http() {
                Ok(a) => {
                    r.line("http").word(a.status).end();
                    for (name, value) in a.header {
                        r.line("header").value(name).value(value).end();
                    }
                    r.line("body").value(a.body).end();
                }
                Err(e) => r.line("http").error(e).end(),
            },
            "count" => {
                *self.count += 1;
                r.line(verb).word(*self.count).end();
            }
            _ => return false,
        }
        true
    }

    fn host(&mut self, verb: &str, w: &mut Words) -> bool {
        match verb {
            "log" => {
                let level = match word(w) {
                    "debug" => log::Level::Debug,
                    "info" => log::Level::Info,
                    "warn" => log::Level::Warn,
                    _ => log::Level::Error,
                };
                log::write(level, &String::from_utf8_lossy(&read(word(w))));
            }
            "counter" => {
                let n = name(word(w));
                let made = metrics::Counter::new(&n).map(|c| c.add(number(w)));
                self.failed(verb, &n, made);
            }
            "gauge" => {
                let n = name(word(w));
                let made = metrics::Gauge::new(&n).map(|g| g.set(number(w)));
                self.failed(verb, &n, made);
            }
            "histogram" => {
                let n = name(word(w));
                let made = metrics::Histogram::new(&n).map(|h| h.observe(number(w)));
                self.failed(verb, &n, made);
            }
            "wall" => self.report.line(verb).word(clock::wall()).end(),
            "monotonic" => self.report.line(verb).word(clock::monotonic()).end(),
            "random" => {
                let n: usize = number(w);
                let (mut a, mut b) = (vec![0; n], vec![0; n]);
                let r = self.report.line(verb).word(n);
                match random::fill(&mut a).and_then(|()| random::fill(&mut b)) {
                    Ok(()) => r.word(if a == b { "same" } else { "different" }).end(),
                    Err(e) => r.error(e).end(),
                }
            }
            _ => return false,
        }
        true
    }

    fn http(&mut self, w: &mut Words) {
        let (method, url, body) = (name(word(w)), name(word(w)), read(word(w)));
        let mut r = http::Request::new(&method, &url).body(&body);
        if let Some(deadline) = ttl(w) {
            r = r.deadline(deadline);
        }
        for option in w {
            let (name, value) = option[1..].split_once('=').unwrap_or((option, ""));
            r = r.header(name, read(value));
        }
        match r.send() {
            Ok(token) => *self.sent = token,
            Err(e) => self.report.line("http").error(e).end(),
        }
    }

    fn filter(&mut self, verb: &str, w: &mut Words, m: &Message) -> bool {
        let r = &mut self.report;
        let done = match verb {
            "filter-source" => {
                r.line(verb);
                filter::source(m).map(|s| r.found(s.as_ref().map(|s| s.as_str().as_bytes())))
            }
            "filter-here" => {
                r.line(verb);
                filter::block_source(m, ttl(w)).map(|there| r.word(if there { "ok" } else { "!none" }))
            }
            "filter-block" => {
                let source = name(word(w));
                r.line(verb).value(&source);
                filter::block(&source, ttl(w)).map(|()| r.word("ok"))
            }
            "filter-allow" => {
                let source = name(word(w));
                r.line(verb).value(&source);
                filter::allow(&source, ttl(w)).map(|()| r.word("ok"))
            }
            "filter-unblock" => {
                let source = name(word(w));
                r.line(verb).value(&source);
                filter::unblock(&source).map(|there| r.word(if there { "ok" } else { "!none" }))
            }
            _ => return false,
        };
        if let Err(e) = done.map(|_| ()) {
            self.report.error(e);
        }
        self.report.end();
        true
    }

    /// The line of a metric that cannot be had.
    fn failed(&mut self, verb: &str, name: &str, made: Result<(), Error>) {
        if let Err(e) = made {
            self.report.line(verb).value(name).error(e).end();
        }
    }

    fn kv(&mut self, verb: &str, w: &mut Words) -> bool {
        if !verb.starts_with("kv-") {
            return false;
        }
        let key = read(word(w));
        let r = &mut self.report;
        let at = r.text.len();
        r.line(verb).value(&key);
        let done = match verb {
            "kv-get" => kv::get(&key).map(|v| r.found(v.as_deref())),
            "kv-digest" => kv::get(&key).map(|v| match v {
                Some(v) => r.digest([v.as_slice()].into_iter()),
                None => r.word("!none"),
            }),
            "kv-set" => kv::set(&key, read(word(w)), ttl(w)).map(|()| r.word("ok")),
            "kv-cas" => {
                let (revision, value) = (number(w), read(word(w)));
                kv::compare_and_set(&key, revision, value, ttl(w)).map(|n| r.word(n))
            }
            "kv-revision" => kv::revision(&key).map(|n| match n {
                Some(n) => r.word(n),
                None => r.word("!none"),
            }),
            "kv-delete" => kv::delete(&key).map(|there| r.word(if there { "ok" } else { "!none" })),
            "kv-add" => {
                let delta = number(w);
                kv::add(&key, delta, ttl(w)).map(|n| r.word(n))
            }
            _ => {
                r.text.truncate(at);
                return false;
            }
        };
        if let Err(e) = done.map(|_| ()) {
            self.report.error(e);
        }
        self.report.end();
        true
    }
}

fn change(verb: &str, w: &mut Words, m: &mut Message) -> bool {
    match verb {
        "topic" => m.set_topic(read(word(w)).as_ref()),
        "payload" => m.set_payload(read(word(w)).as_ref()),
        "set" => m.set_attribute(&name(word(w)), read(word(w))),
        "unset" => m.remove_attribute(&name(word(w))),
        "clear" => m.clear_attributes(),
        "remember" => m.set_context(&name(word(w)), read(word(w))),
        "forget" => m.remove_context(&name(word(w))),
        "seq" => m.set_seq(number(w)),
        "type" => m.set_message_type(Type::from(number::<u8>(w))),
        "priority" => m.set_priority(number(w)),
        "qos" => m.set_qos(number(w)),
        _ => return false,
    }
    true
}

fn emit(w: &mut Words, m: &mut Message) {
    let (topic, payload) = (name(word(w)), read(word(w)));
    let mut attributes = Vec::new();
    let mut e = Emit { topic: &topic, payload: &payload, ..Emit::default() };
    for option in w {
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        let n = || value.parse::<u64>().expect("a number");
        match key {
            "type" => e.message_type = Type::from(n() as u8),
            "priority" => e.priority = n() as u8,
            "qos" => e.qos = n() as u8,
            "seq" => e.seq = n(),
            "retain" => e.retain = true,
            _ => attributes.push((&key[1..], read(value))),
        }
    }
    let attributes: Vec<(&str, &[u8])> = attributes.iter().map(|(n, v)| (*n, v.as_ref())).collect();
    e.attributes = &attributes;
    m.emit(e);
}
