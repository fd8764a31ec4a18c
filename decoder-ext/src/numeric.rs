//! numeric in PostgreSQL's send format, straight from the row. The layout is that of `NumericData` in
//! src/backend/utils/adt/numeric.c, which has not changed since 9.1 (14 added the infinities): a 16-bit head that
//! tells short, long and special values apart, in the long form a 16-bit weight, then base-10000 digits.

use walferry_wire::encode::Sink;

const SIGN_MASK: u16 = 0xC000;
const SHORT: u16 = 0x8000;
const SPECIAL: u16 = 0xC000;
const SPECIAL_MASK: u16 = 0xF000;
const NEGATIVE: u16 = 0x4000;
const LONG_SCALE_MASK: u16 = 0x3FFF;
const SHORT_NEGATIVE: u16 = 0x2000;
const SHORT_SCALE_MASK: u16 = 0x1F80;
const SHORT_SCALE_SHIFT: u32 = 7;
const SHORT_WEIGHT_SIGN: u16 = 0x0040;
const SHORT_WEIGHT_MASK: u16 = 0x003F;

/// What a value's head says, as the send format wants it.
struct Head {
    weight: u16,
    sign: u16,
    scale: u16,
}

impl Head {
    /// Special values are read as short ones but for their sign, which is what numeric_send does.
    fn short(head: u16) -> Self {
        let sign_extension = if head & SHORT_WEIGHT_SIGN != 0 { !SHORT_WEIGHT_MASK } else { 0 };
        let negative = if head & SHORT_NEGATIVE != 0 { NEGATIVE } else { 0 };
        Self {
            weight: sign_extension | (head & SHORT_WEIGHT_MASK),
            sign: if head & SIGN_MASK == SPECIAL { head & SPECIAL_MASK } else { negative },
            scale: (head & SHORT_SCALE_MASK) >> SHORT_SCALE_SHIFT,
        }
    }

    fn long(head: u16, weight: u16) -> Self {
        Self { weight, sign: head & SIGN_MASK, scale: head & LONG_SCALE_MASK }
    }
}

/// Writes the cell; `bytes` are the value without its varlena header. Never panics.
#[inline]
pub fn write(out: &mut impl Sink, bytes: &[u8]) {
    let Some((head, rest)) = take(bytes) else { return write_parts(out, &Head::short(SPECIAL), &[]) };
    if head & SHORT != 0 {
        return write_parts(out, &Head::short(head), rest);
    }
    match take(rest) {
        Some((weight, digits)) => write_parts(out, &Head::long(head, weight), digits),
        None => write_parts(out, &Head::short(SPECIAL), &[]),
    }
}

fn write_parts(out: &mut impl Sink, head: &Head, digits: &[u8]) {
    let count = (digits.len() / 2) as u16;
    out.put(&(8 + 2 * i32::from(count)).to_be_bytes());
    out.put(&count.to_be_bytes());
    out.put(&head.weight.to_be_bytes());
    out.put(&head.sign.to_be_bytes());
    out.put(&head.scale.to_be_bytes());
    for digit in digits.chunks_exact(2) {
        if let [a, b] = digit {
            out.put(&u16::from_ne_bytes([*a, *b]).to_be_bytes());
        }
    }
}

/// Two bytes in the server's own order; a short varlena is not aligned.
fn take(bytes: &[u8]) -> Option<(u16, &[u8])> {
    bytes.split_first_chunk::<2>().map(|(head, rest)| (u16::from_ne_bytes(*head), rest))
}
