//! The protobuf wire format: tags, varints, lengths. Source: Protocol Buffers encoding guide.

/// A field's value as it stands on the wire.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::api) enum Scalar<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
}

pub(in crate::api) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(in crate::api) fn put_int(out: &mut Vec<u8>, number: u32, value: i64) {
    put_varint(out, u64::from(number) << 3);
    put_varint(out, value as u64);
}

pub(in crate::api) fn put_double(out: &mut Vec<u8>, number: u32, value: f64) {
    put_varint(out, u64::from(number) << 3 | 1);
    out.extend(value.to_bits().to_le_bytes());
}

pub(in crate::api) fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_varint(out, u64::from(number) << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend(bytes);
}

/// A message inside a message.
pub(in crate::api) fn put_message(out: &mut Vec<u8>, number: u32, write: impl FnOnce(&mut Vec<u8>)) {
    put_varint(out, u64::from(number) << 3 | 2);
    // Most are shorter than 128 bytes: one byte says how long. Longer ones make room for more.
    let at = out.len();
    out.push(0);
    write(out);
    let length = out.len() - at - 1;
    if length < 0x80 {
        out[at] = length as u8;
        return;
    }
    let mut digits = Vec::with_capacity(5);
    put_varint(&mut digits, length as u64);
    out.splice(at..=at, digits);
}

/// The fields of a message in the order they came; `None` where the bytes are no message.
pub(in crate::api) fn fields(bytes: &[u8]) -> Fields<'_> {
    Fields { bytes }
}

pub(in crate::api) struct Fields<'a> {
    bytes: &'a [u8],
}

impl<'a> Iterator for Fields<'a> {
    type Item = Option<(u32, Scalar<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.bytes.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.bytes = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Option<(u32, Scalar<'a>)> {
        let tag = take_varint(&mut self.bytes)?;
        let number = u32::try_from(tag >> 3).ok().filter(|number| *number > 0)?;
        let scalar = match tag & 7 {
            0 => Scalar::Varint(take_varint(&mut self.bytes)?),
            1 => Scalar::Fixed64(u64::from_le_bytes(*self.bytes.split_off(..8)?.first_chunk()?)),
            2 => {
                let length = usize::try_from(take_varint(&mut self.bytes)?).ok()?;
                Scalar::Bytes(self.bytes.split_off(..length)?)
            }
            5 => Scalar::Fixed32(u32::from_le_bytes(*self.bytes.split_off(..4)?.first_chunk()?)),
            _ => return None,
        };
        Some((number, scalar))
    }
}

pub(in crate::api) fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.split_off_first()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}
