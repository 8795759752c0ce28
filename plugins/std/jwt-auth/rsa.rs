//! Verifies signatures RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017, section 8.2.2).
//! Nothing here is secret, so the time it takes may tell what it will.

use crate::sha256::SIZE as HASH;

pub const SHORTEST_BITS: usize = 2048;
pub const LONGEST_BITS: usize = 4096;
/// Limbs of 28 bits up to here, of 27 beyond: see [`PublicKey::new`].
const WIDE_BITS: usize = 3550;
const MOST_LIMBS: usize = 152;
const MOST_BYTES: usize = LONGEST_BITS / 8;

/// What stands before a SHA-256 hash: the DER encoding of DigestInfo (RFC 8017,
/// section 9.2, note 1).
const DIGEST_INFO: [u8; 19] =
    [0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20];

/// A number in limbs, the lowest first; limbs that the key does not use are 0.
type Number = [u32; MOST_LIMBS];

/// The public key (n, e), prepared for Montgomery multiplication with
/// R = 2^(limbs x width) > 4n: numbers below 2n then need no subtraction between
/// one product and the next.
pub struct PublicKey {
    /// n as it is written, the highest byte first and not zero.
    bytes: Vec<u8>,
    exponent: u32,
    limbs: usize,
    width: u32,
    modulus: Number,
    /// The modulus with its highest limb first: sums of products run forwards.
    reversed: Number,
    /// -1/n modulo 2^width.
    inverse: u32,
    /// R^2 modulo n.
    square: Number,
}

impl PublicKey {
    /// Prepares a key; `n` without zero bytes before it. The error says what was
    /// expected and found.
    pub fn new(n: &[u8], exponent: u32) -> Result<PublicKey, String> {
        let bits = match n.first() {
            Some(first) => n.len() * 8 - first.leading_zeros() as usize,
            None => 0,
        };
        if !(SHORTEST_BITS..=LONGEST_BITS).contains(&bits) {
            return Err(format!("expected an RSA key of {} to {} bits, found {}", SHORTEST_BITS, LONGEST_BITS, bits));
        }
        if n[n.len() - 1] & 1 == 0 {
            return Err("expected an RSA key with an odd modulus, found an even one".into());
        }
        if exponent < 3 || exponent & 1 == 0 {
            return Err(format!("expected an RSA key with an odd exponent of at least 3, found {}", exponent));
        }
        // A column of a product and its reduction is the sum of 2 x limbs products:
        // it must stay below 2^64.
        let width = if bits <= WIDE_BITS { 28 } else { 27 };
        let limbs = (bits + 2 + width - 1) / width;
        let modulus = number(n, width as u32);
        let mut key = PublicKey {
            bytes: n.to_vec(),
            exponent,
            limbs,
            width: width as u32,
            modulus,
            reversed: [0; MOST_LIMBS],
            inverse: 0,
            square: [0; MOST_LIMBS],
        };
        key.reversed = key.reverse(&modulus);
        key.prepare(bits);
        Ok(key)
    }

    fn reverse(&self, a: &Number) -> Number {
        let mut reversed = [0; MOST_LIMBS];
        for (to, from) in reversed[..self.limbs].iter_mut().rev().zip(a) {
            *to = *from;
        }
        reversed
    }

    /// Computes what depends on the modulus alone.
    fn prepare(&mut self, bits: usize) {
        // Newton's iteration: each step doubles the bits of 1/n that are right.
        let n = self.modulus[0];
        let mut inverse = n;
        for _ in 0..5 {
            inverse = inverse.wrapping_mul(2u32.wrapping_sub(n.wrapping_mul(inverse)));
        }
        self.inverse = inverse.wrapping_neg() & self.mask() as u32;
        // 2^(bits-1) is below n; doubled it becomes R, which stands for 1.
        let mut x = [0; MOST_LIMBS];
        x[(bits - 1) / self.width as usize] = 1 << ((bits - 1) % self.width as usize);
        let r = self.limbs * self.width as usize;
        for _ in bits - 1..r {
            self.double(&mut x);
        }
        // To what stands for 2^r, which is R^2, by squaring and doubling.
        for bit in (0..usize::BITS - r.leading_zeros()).rev() {
            x = self.squared(&x);
            if r >> bit & 1 == 1 {
                self.subtract(&mut x);
                self.double(&mut x);
            }
        }
        self.subtract(&mut x);
        self.square = x;
    }

    fn mask(&self) -> u64 {
        (1 << self.width) - 1
    }

    /// x becomes 2x modulo n, for x below n.
    fn double(&self, x: &mut Number) {
        let mut carry = 0;
        for limb in &mut x[..self.limbs] {
            let twice = *limb << 1 | carry;
            *limb = twice & self.mask() as u32;
            carry = twice >> self.width;
        }
        self.subtract(x);
    }

    /// x becomes x - n, unless it is below n.
    fn subtract(&self, x: &mut Number) {
        let mut less = [0; MOST_LIMBS];
        let mut borrow = 0i64;
        for i in 0..self.limbs {
            let d = x[i] as i64 - self.modulus[i] as i64 + borrow;
            less[i] = d as u32 & self.mask() as u32;
            borrow = d >> self.width;
        }
        if borrow == 0 {
            *x = less;
        }
    }

    /// ab/R modulo n, below 2n if both factors are.
    fn product(&self, a: &Number, b: &Number) -> Number {
        let backwards = self.reverse(b);
        let last = self.limbs - 1;
        self.reduced(|i| match i <= last {
            true => dot(&a[..=i], &backwards[last - i..=last]),
            false => dot(&a[i - last..=last], &backwards[..=2 * last - i]),
        })
    }

    /// aa/R modulo n. Every product of two different limbs is needed twice and
    /// made once.
    fn squared(&self, a: &Number) -> Number {
        let backwards = self.reverse(a);
        let last = self.limbs - 1;
        self.reduced(|i| {
            let from = i.saturating_sub(last);
            let half = (i + 1) / 2;
            let start = last + from - i;
            let twice = dot(&a[from..half], &backwards[start..start + half - from]) << 1;
            match i & 1 {
                0 => twice + a[half] as u64 * a[half] as u64,
                _ => twice,
            }
        })
    }

    /// Montgomery's reduction of a product, column by column: a multiple of n is
    /// added that makes its lower half zero. `column` is the sum of the products
    /// that belong to a column of 2^(width x i).
    #[inline(always)]
    fn reduced(&self, column: impl Fn(usize) -> u64) -> Number {
        let (last, mask) = (self.limbs - 1, self.mask());
        let n = &self.reversed;
        let mut multiple = [0; MOST_LIMBS];
        let mut sum = 0u64;
        for i in 0..=last {
            sum += column(i) + dot(&multiple[..i], &n[last - i..last]);
            let q = (sum as u32).wrapping_mul(self.inverse) & mask as u32;
            multiple[i] = q;
            sum += q as u64 * n[last] as u64;
            sum >>= self.width;
        }
        let mut out = [0; MOST_LIMBS];
        for i in last + 1..=2 * last {
            sum += column(i) + dot(&multiple[i - last..=last], &n[..=2 * last - i]);
            out[i - last - 1] = (sum & mask) as u32;
            sum >>= self.width;
        }
        out[last] = sum as u32;
        out
    }

    /// s to the power of e modulo n, for s below n.
    fn power(&self, s: &Number) -> Number {
        let base = self.product(s, &self.square);
        let mut x = base;
        // The last bit of e is 1 and taken apart: times s itself, not what stands
        // for it, the product is the result itself.
        for bit in (1..31 - self.exponent.leading_zeros()).rev() {
            x = self.squared(&x);
            if self.exponent >> bit & 1 == 1 {
                x = self.product(&x, &base);
            }
        }
        x = self.product(&self.squared(&x), s);
        self.subtract(&mut x);
        x
    }

    /// Reports whether the signature is that of a message with this SHA-256 hash.
    /// The whole of what it must say is made and compared: nothing of what it
    /// says is read.
    pub fn verify(&self, hash: &[u8; HASH], signature: &[u8]) -> bool {
        let size = self.bytes.len();
        if signature.len() != size || signature >= &self.bytes[..] {
            return false;
        }
        let found = self.power(&number(signature, self.width));
        let mut said = [0xff; MOST_BYTES];
        let said = &mut said[..size];
        let hashed = size - HASH;
        let info = hashed - DIGEST_INFO.len();
        said[0] = 0;
        said[1] = 1;
        said[info - 1] = 0;
        said[info..hashed].copy_from_slice(&DIGEST_INFO);
        said[hashed..].copy_from_slice(hash);
        found == number(said, self.width)
    }
}

/// The sum of the products of each two limbs. Eight at a time: a loop is metered
/// by its rounds.
#[inline(always)]
fn dot(x: &[u32], y: &[u32]) -> u64 {
    const STEP: usize = 8;
    let mut sum = 0u64;
    let (mut xs, mut ys) = (x.chunks_exact(STEP), y.chunks_exact(STEP));
    for (x, y) in (&mut xs).zip(&mut ys) {
        for i in 0..STEP {
            sum += x[i] as u64 * y[i] as u64;
        }
    }
    for (x, y) in xs.remainder().iter().zip(ys.remainder()) {
        sum += *x as u64 * *y as u64;
    }
    sum
}

/// A number from its bytes, the highest first.
fn number(bytes: &[u8], width: u32) -> Number {
    let mut number = [0; MOST_LIMBS];
    let (mut word, mut filled, mut at) = (0u64, 0, 0);
    for &b in bytes.iter().rev() {
        word |= (b as u64) << filled;
        filled += 8;
        if filled >= width {
            number[at] = (word & ((1 << width) - 1)) as u32;
            word >>= width;
            filled -= width;
            at += 1;
        }
    }
    if word > 0 {
        number[at] = word as u32;
    }
    number
}
