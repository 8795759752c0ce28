//! Code as Rust makes it from its standard library: hash maps, strings, formatted
//! text, sorting by a closure, dispatch over a trait.
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

fn words(n: u32) -> Vec<String> {
    (0..n).map(|i| format!("truck-{}", i.wrapping_mul(2654435761) % 97)).collect()
}

/// Counts words in a hash map.
#[no_mangle]
pub extern "C" fn hashmap(n: u32) -> u32 {
    let words = words(64);
    let mut sum = 0;
    for _ in 0..n {
        let mut counts: HashMap<&str, u32> = HashMap::new();
        for w in &words {
            *counts.entry(w).or_insert(0) += 1;
        }
        sum += counts["truck-1"];
    }
    sum
}

/// Inserts into a tree and walks it.
#[no_mangle]
pub extern "C" fn btree(n: u32) -> u32 {
    let mut sum = 0u32;
    for _ in 0..n {
        let mut tree = BTreeMap::new();
        for i in 0..64u32 {
            tree.insert(i.wrapping_mul(2654435761), i);
        }
        sum = sum.wrapping_add(tree.iter().fold(0, |s: u32, (k, v)| s.rotate_left(1) ^ k ^ v));
    }
    sum
}

/// Formats numbers and parses them again.
#[no_mangle]
pub extern "C" fn format(n: u32) -> u32 {
    let mut text = String::new();
    let mut sum = 0u32;
    for i in 0..n * 4 {
        text.clear();
        write!(text, "{{\"id\":{},\"temp\":{:.2},\"name\":\"{:>8}\"}}", i, i as f32 * 0.25, "truck").unwrap();
        sum = sum.wrapping_add(text.split(|c: char| !c.is_ascii_digit()).filter_map(|s| s.parse::<u32>().ok()).sum());
    }
    sum
}

trait Shape {
    fn area(&self) -> u32;
}
struct Square(u32);
struct Rectangle(u32, u32);
struct Line;
impl Shape for Square {
    fn area(&self) -> u32 {
        self.0 * self.0
    }
}
impl Shape for Rectangle {
    fn area(&self) -> u32 {
        self.0 * self.1
    }
}
impl Shape for Line {
    fn area(&self) -> u32 {
        0
    }
}

/// Calls methods of boxed values.
#[no_mangle]
pub extern "C" fn dispatch(n: u32) -> u32 {
    let shapes: Vec<Box<dyn Shape>> = (0..48)
        .map(|i| match i % 3 {
            0 => Box::new(Square(i)) as Box<dyn Shape>,
            1 => Box::new(Rectangle(i, 3)),
            _ => Box::new(Line),
        })
        .collect();
    (0..n * 4).map(|k| shapes.iter().map(|s| s.area() ^ k).sum::<u32>()).fold(0, u32::wrapping_add)
}

/// Sorts strings.
#[no_mangle]
pub extern "C" fn sort_strings(n: u32) -> u32 {
    let words = words(48);
    let mut sum = 0;
    for _ in 0..n {
        let mut sorted: Vec<&String> = words.iter().collect();
        sorted.sort_by(|a, b| b.cmp(a));
        sum += sorted[7].len() as u32;
    }
    sum
}
