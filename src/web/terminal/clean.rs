//! What a program prints, made safe to show as lines of text.
//!
//! In: bytes as they come, from Pods that anybody wrote. Out: text without control characters: escape
//! sequences are left out, also ones that never end, and so are characters that turn the direction of
//! reading, with which a line can be made to look like another. The state is a few bytes, whatever comes.

/// Where in an escape sequence the last byte was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Text,
    Escape,
    /// `ESC [ … letter`
    Control,
    /// `ESC ] … BEL` and its kin, which end with BEL or `ESC \`.
    Text2,
    Text2Escape,
    /// `ESC ( B`
    One,
}

/// Cleans one stream.
#[derive(Clone, Debug, Default)]
pub struct Cleaner {
    place: Place,
    /// The beginning of a character whose end has not come.
    partial: Vec<u8>,
    returned: bool,
}

impl Cleaner {
    /// The text of these bytes.
    pub fn clean(&mut self, bytes: &[u8]) -> String {
        let mut kept = std::mem::take(&mut self.partial);
        for byte in bytes {
            self.step(*byte, &mut kept);
        }
        let whole = match std::str::from_utf8(&kept) {
            Ok(_) => kept.len(),
            // Only an end that may still become a character is kept for later.
            Err(fault) => kept.len() - usize::from(fault.error_len().is_none()) * (kept.len() - fault.valid_up_to()),
        };
        let whole = if kept.len() - whole < 4 { whole } else { kept.len() };
        self.partial = kept.split_off(whole);
        String::from_utf8_lossy(&kept).replace(turns, "\u{fffd}")
    }

    fn step(&mut self, byte: u8, kept: &mut Vec<u8>) {
        self.place = match (self.place, byte) {
            (Place::Text, 0x1b) => Place::Escape,
            (Place::Text, _) => {
                self.text(byte, kept);
                Place::Text
            }
            (Place::Escape, b'[') => Place::Control,
            (Place::Escape, b']' | b'P' | b'X' | b'^' | b'_') => Place::Text2,
            (Place::Escape, b'(' | b')' | b'*' | b'+' | b'#' | b'%' | b' ') => Place::One,
            (Place::Escape | Place::Control | Place::Text2Escape, 0x1b) => Place::Escape,
            (Place::Control, 0x20..=0x3f) => Place::Control,
            (Place::Text2, 0x1b) => Place::Text2Escape,
            (Place::Text2, 0x07 | 0x18 | 0x1a) => Place::Text,
            (Place::Text2, _) => Place::Text2,
            (Place::Text2Escape, b'\\') => Place::Text,
            (Place::Text2Escape, _) => Place::Text2,
            (Place::Escape | Place::Control | Place::One, _) => Place::Text,
        };
    }

    fn text(&mut self, byte: u8, kept: &mut Vec<u8>) {
        let returned = std::mem::replace(&mut self.returned, byte == b'\r');
        // A carriage return alone would write over the line; here a new one begins.
        if returned && byte != b'\n' && byte != b'\r' {
            kept.push(b'\n');
        }
        if byte >= 0x20 && byte != 0x7f || matches!(byte, b'\n' | b'\t') {
            kept.push(byte);
        }
    }
}

/// Controls of the second set, and characters that turn the direction of reading.
fn turns(letter: char) -> bool {
    matches!(letter, '\u{80}'..='\u{9f}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_left_out_also_across_chunks() {
        let mut cleaner = Cleaner::default();
        assert_eq!(cleaner.clean(b"a\x1b[31mred\x1b[0m \x1b]0;title\x07b\x1b(Bc\r\nd\re\x08f\x00"), "ared bc\nd\nef");
        assert_eq!(cleaner.clean(b"x\x1b["), "x");
        assert_eq!(cleaner.clean(b"2Jy\x1b]52;c;AAAA"), "y");
        assert_eq!(cleaner.clean(b"more\x1b"), "");
        assert_eq!(cleaner.clean(b"\\z"), "z");
    }

    #[test]
    fn characters_may_come_in_pieces_and_wrong_ones_show() {
        let mut cleaner = Cleaner::default();
        assert_eq!(cleaner.clean(b"\xe2\x82"), "");
        assert_eq!(cleaner.clean(b"\xac!"), "\u{20ac}!");
        assert_eq!(cleaner.clean(b"\xff\xfeok"), "\u{fffd}\u{fffd}ok");
        assert_eq!(cleaner.clean("a\u{202e}b".as_bytes()), "a\u{fffd}b");
    }

    #[test]
    fn a_title_that_never_ends_takes_no_memory() {
        let mut cleaner = Cleaner::default();
        cleaner.clean(b"\x1b]0;");
        for _ in 0..1_000 {
            assert_eq!(cleaner.clean(&[b'x'; 4096]), "");
        }
        assert!(cleaner.partial.capacity() < 64);
    }
}
