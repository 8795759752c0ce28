use super::*;

#[test]
fn finds_values_by_path() {
    let doc = br#" { "a" : [1, {"b": "no"}], "b": {"c\u0041": {"d": -12, "e": "x\ny"}}, "b": 7 } "#;
    assert_eq!(find(doc, &["b", "cA", "d"]).unwrap().i64(), Some(-12));
    assert_eq!(find(doc, &["b", "cA", "e"]).unwrap().str().unwrap(), "x\ny");
    assert_eq!(find(doc, &["a"]).unwrap().raw(), br#"[1, {"b": "no"}]"#);
    assert!(find(doc, &["a", "b"]).is_none());
    assert!(find(doc, &["nothing"]).is_none());
    assert!(find(b"{}", &["nothing"]).is_none());
    assert!(find(b"", &["nothing"]).is_none());
    assert_eq!(find(b" true", &[]).unwrap().bool(), Some(true));
}

#[test]
fn checks_whole_documents() {
    for good in [
        "0", "-0.5e+10", "[]", "{}", "[[],{}]", r#""""#, r#"{"a":{"b":[{"c":[1,2,[3]]}]},"d":null}"#,
        " [ true , false ] ", r#""\ud83d\ude00""#, "[{},{}]", "1E5",
    ] {
        assert!(parse(good).is_ok(), "{}", good);
    }
    for (bad, at) in [
        ("", 0), ("01", 1), ("-", 1), ("1.", 2), ("1e", 2), ("[1,]", 3), ("[1", 2), ("{\"a\"}", 4), ("{\"a\":1,}", 7),
        ("{a:1}", 1), ("[1}", 2), ("tru", 0), ("1 2", 2), ("\"a", 2), ("\"\\x\"", 1), ("\"\u{1}\"", 1), ("{1:2}", 1),
        ("[\"\\u12g4\"]", 2), ("]", 0), ("[,1]", 1), ("nul", 0), ("+1", 0), (".5", 0),
    ] {
        match parse(bad) {
            Err(e) => assert_eq!(e.at, at, "{}", bad),
            Ok(v) => panic!("{} was taken for {:?}", bad, v),
        }
    }
}

#[test]
fn reads_numbers() {
    let n = |s: &str| parse(s).unwrap().i64();
    assert_eq!(n("9223372036854775807"), Some(i64::MAX));
    assert_eq!(n("-9223372036854775808"), Some(i64::MIN));
    assert_eq!(n("9223372036854775808"), None);
    assert_eq!(n("1.0"), None);
    assert_eq!(n("\"1\""), None);
    assert_eq!(parse("-12.5e1").unwrap().f64(), Some(-125.0));
    assert_eq!(parse("true").unwrap().f64(), None);
}

#[test]
fn reads_strings() {
    let s = |s: &str| parse(s).unwrap().string();
    assert_eq!(s(r#""plain ü""#).as_deref(), Some("plain ü"));
    assert_eq!(s(r#""\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00""#).as_deref(), Some("\"\\/\u{8}\u{c}\n\r\té😀"));
    assert_eq!(s(r#""\ud83dx\ude00""#).as_deref(), Some("\u{fffd}x\u{fffd}"));
    assert_eq!(s(r#""\ud83d\u0041""#).as_deref(), Some("\u{fffd}A"));
    assert!(find(b"\"\xff\"", &[]).unwrap().str().is_none());
    assert!(matches!(parse("\"a\"").unwrap().str(), Some(Cow::Borrowed("a"))));
}

#[test]
fn walks_arrays_and_objects() {
    let v = parse(r#"{"a": [1, "two", [3]], "b": {}, "c": []}"#).unwrap();
    let keys: Vec<_> = v.fields().map(|(k, _)| k).collect();
    assert_eq!(keys, ["a", "b", "c"]);
    let raw: Vec<_> = v.get("a").unwrap().items().map(|i| String::from_utf8_lossy(i.raw())).collect();
    assert_eq!(raw, ["1", "\"two\"", "[3]"]);
    assert_eq!(v.get("b").unwrap().fields().count(), 0);
    assert_eq!(v.get("c").unwrap().items().count(), 0);
    assert_eq!(v.items().count(), 0);
}

#[test]
fn depth_is_bounded() {
    let nested = |n: usize| "[".repeat(n) + &"]".repeat(n);
    assert!(parse(&nested(128)).is_ok());
    assert_eq!(parse(&nested(129)).unwrap_err().at, 128);
}

#[test]
fn quotes() {
    let mut out = String::new();
    quote("a\"b\\c\nd\u{1}é", &mut out).unwrap();
    assert_eq!(out, r#""a\"b\\c\nd\u0001é""#);
    assert_eq!(parse(&out).unwrap().str().unwrap(), "a\"b\\c\nd\u{1}é");
}

/// Every document that is cut or has one byte changed is either refused or
/// read, without a panic.
#[test]
fn survives_damage() {
    let doc = br#"{"a":[1,-2.5e3,"x\u00e9\n"],"b":{"c":null,"d":[true,false]}}"#;
    for cut in 0..doc.len() {
        let _ = find(&doc[..cut], &["b", "d"]);
        assert!(parse(&doc[..cut]).is_err());
    }
    for at in 0..doc.len() {
        for to in [b'"', b'\\', b'{', b'}', b'[', b']', b',', b':', 0, 0xff, b'0'] {
            let mut d = doc.to_vec();
            d[at] = to;
            if let Ok(v) = parse(&d) {
                v.fields().for_each(|(_, v)| v.items().for_each(|i| drop((i.string(), i.f64(), i.i64()))));
            }
            let _ = find(&d, &["b", "c"]);
        }
    }
}
