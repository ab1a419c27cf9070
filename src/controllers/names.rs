//! Names and hashes in the alphabet Kubernetes uses for generated ones: no vowels, so no words.

/// Source: apimachinery pkg/util/rand, alphanums.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// A hash as text: its decimal digits, each moved into the safe alphabet.
pub fn safe_encode(hash: u32) -> String {
    hash.to_string().bytes().map(|digit| char::from(ALPHABET[usize::from(digit) % ALPHABET.len()])).collect()
}

/// FNV-1a, 32 bits.
pub fn fnv(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_move_into_the_safe_alphabet() {
        assert_eq!(safe_encode(1_234_567_890).len(), 10);
        assert!(safe_encode(0).bytes().all(|byte| ALPHABET.contains(&byte)));
        assert_eq!(fnv(b""), 0x811c_9dc5);
        assert_eq!(fnv(b"a"), 0xe40c_292c);
    }
}
