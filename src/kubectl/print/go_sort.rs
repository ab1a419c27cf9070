//! The order in which Go's `sort.Sort` leaves what is equal, and what has no consistent order at all.
//!
//! In: items and whether one is less than another, which may say anything. Out: the items, each swap as Go
//! makes it. It is a pattern-defeating quicksort (Orson Peters, arXiv 2106.05123) with Go's constants.

/// Ranges up to this length are put in order by insertion.
const SHORT: usize = 12;
/// From this length on, a pivot is a median of medians, and insertion may shift.
const LONG: usize = 50;
/// Swaps that show that a range falls: all that choosing a pivot can make.
const MOST_SWAPS: usize = 12;
/// Steps of an insertion that hopes for the best.
const HOPES: usize = 5;

/// Sorts as Go does.
pub fn sort<T>(items: &mut [T], less: impl FnMut(&T, &T) -> bool) {
    let (end, depth) = (items.len(), bits(items.len()));
    Sorter { items, less }.quick(0, end, depth);
}

/// How many binary digits a number has.
fn bits(number: usize) -> u32 {
    usize::BITS - number.leading_zeros()
}

struct Sorter<'a, T, L> {
    items: &'a mut [T],
    less: L,
}

/// What choosing a pivot tells of a range.
#[derive(PartialEq)]
enum Trend {
    Rising,
    Falling,
    Unknown,
}

impl<T, L: FnMut(&T, &T) -> bool> Sorter<'_, T, L> {
    fn less(&mut self, a: usize, b: usize) -> bool {
        (self.less)(&self.items[a], &self.items[b])
    }

    fn quick(&mut self, mut from: usize, mut to: usize, mut depth: u32) {
        let (mut balanced, mut parted) = (true, true);
        loop {
            let length = to - from;
            if length <= SHORT {
                return self.insert(from, to);
            }
            if depth == 0 {
                return self.heap(from, to);
            }
            if !balanced {
                self.shuffle(from, to);
                depth -= 1;
            }
            let (mut pivot, mut trend) = self.pivot(from, to);
            if trend == Trend::Falling {
                self.items[from..to].reverse();
                pivot = (to - 1) - (pivot - from);
                trend = Trend::Rising;
            }
            if balanced && parted && trend == Trend::Rising && self.insert_a_few(from, to) {
                return;
            }
            // What is left of the range is no greater: then all that equals the pivot is in its place.
            if from > 0 && !self.less(from - 1, pivot) {
                from = self.part_equal(from, to, pivot);
                continue;
            }
            let (middle, was_parted) = self.part(from, to, pivot);
            parted = was_parted;
            let (left, right) = (middle - from, to - middle);
            balanced = left.min(right) >= length / 8;
            if left < right {
                self.quick(from, middle, depth);
                from = middle + 1;
            } else {
                self.quick(middle + 1, to, depth);
                to = middle;
            }
        }
    }

    fn insert(&mut self, from: usize, to: usize) {
        for end in from + 1..to {
            self.sink(end, from);
        }
    }

    /// Moves an item down to its place, not below `floor`.
    fn sink(&mut self, item: usize, floor: usize) {
        for at in (floor + 1..=item).rev() {
            if !self.less(at, at - 1) {
                return;
            }
            self.items.swap(at, at - 1);
        }
    }

    /// Puts a few items in their places; whether all are.
    fn insert_a_few(&mut self, from: usize, to: usize) -> bool {
        let mut at = from + 1;
        for _ in 0..HOPES {
            while at < to && !self.less(at, at - 1) {
                at += 1;
            }
            if at == to {
                return true;
            }
            if to - from < LONG {
                return false;
            }
            self.items.swap(at, at - 1);
            if at - from >= 2 {
                self.sink(at - 1, 0);
            }
            if to - at >= 2 {
                for next in at + 1..to {
                    if !self.less(next, next - 1) {
                        break;
                    }
                    self.items.swap(next, next - 1);
                }
            }
        }
        false
    }

    fn heap(&mut self, from: usize, to: usize) {
        let length = to - from;
        for root in (0..=(length - 1) / 2).rev() {
            self.sift(root, length, from);
        }
        for last in (0..length).rev() {
            self.items.swap(from, from + last);
            self.sift(0, last, from);
        }
    }

    fn sift(&mut self, mut root: usize, length: usize, from: usize) {
        loop {
            let mut child = 2 * root + 1;
            if child >= length {
                return;
            }
            if child + 1 < length && self.less(from + child, from + child + 1) {
                child += 1;
            }
            if !self.less(from + root, from + child) {
                return;
            }
            self.items.swap(from + root, from + child);
            root = child;
        }
    }

    /// Swaps three items in the middle with others, chosen by the length alone.
    fn shuffle(&mut self, from: usize, to: usize) {
        let length = to - from;
        if length < 8 {
            return;
        }
        let mut random = length as u64;
        let mask = (1_u64 << bits(length)) - 1;
        let middle = from + length / 4 * 2;
        for at in middle - 1..=middle + 1 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            // The mask is less than twice the length, so this fits.
            let other = (random & mask) as usize;
            self.items.swap(at, from + if other >= length { other - length } else { other });
        }
    }

    fn pivot(&mut self, from: usize, to: usize) -> (usize, Trend) {
        let length = to - from;
        let (mut swaps, quarter) = (0, length / 4);
        let [mut a, mut b, mut c] = [from + quarter, from + quarter * 2, from + quarter * 3];
        if length >= 8 {
            if length >= LONG {
                for place in [&mut a, &mut b, &mut c] {
                    *place = self.median([*place - 1, *place, *place + 1], &mut swaps);
                }
            }
            b = self.median([a, b, c], &mut swaps);
        }
        let trend = match swaps {
            0 => Trend::Rising,
            MOST_SWAPS => Trend::Falling,
            _ => Trend::Unknown,
        };
        (b, trend)
    }

    fn median(&mut self, mut places: [usize; 3], swaps: &mut usize) -> usize {
        for (a, b) in [(0, 1), (1, 2), (0, 1)] {
            if self.less(places[b], places[a]) {
                *swaps += 1;
                places.swap(a, b);
            }
        }
        places[1]
    }

    /// Parts a range in what is less than the pivot and what is not: the pivot's place, and whether it was parted.
    fn part(&mut self, from: usize, to: usize, pivot: usize) -> (usize, bool) {
        self.items.swap(from, pivot);
        let (mut low, mut high) = (from + 1, to - 1);
        let mut was_parted = true;
        loop {
            while low <= high && self.less(low, from) {
                low += 1;
            }
            while low <= high && !self.less(high, from) {
                high -= 1;
            }
            if low > high {
                break;
            }
            was_parted = false;
            self.items.swap(low, high);
            low += 1;
            high -= 1;
        }
        self.items.swap(high, from);
        (high, was_parted)
    }

    /// Parts a range in what equals the pivot and what is greater: where that begins.
    fn part_equal(&mut self, from: usize, to: usize, pivot: usize) -> usize {
        self.items.swap(from, pivot);
        let (mut low, mut high) = (from + 1, to - 1);
        loop {
            while low <= high && !self.less(from, low) {
                low += 1;
            }
            while low <= high && self.less(from, high) {
                high -= 1;
            }
            if low > high {
                return low;
            }
            self.items.swap(low, high);
            low += 1;
            high -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hash of the order in which so many items come out; which are equal, or have no order, the kind says.
    fn order(count: usize, modulus: usize, kind: &str) -> u64 {
        let mut random = (count * 31 + modulus) as u64;
        let mut item = |at: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let key = match kind {
                "down" => (count - at) / modulus,
                "saw" => at % modulus,
                _ => ((random >> 33) % modulus as u64) as usize,
            };
            (key, at)
        };
        let mut items: Vec<(usize, usize)> = (0..count).map(&mut item).collect();
        sort(&mut items, |(a, _), (b, _)| if kind == "mad" { (a * 7 + b * 3) % 5 < 2 } else { a < b });
        let text: String = items.iter().map(|(_, at)| format!("{at},")).collect();
        // FNV-1a, as Go's hash/fnv.
        text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }

    #[test]
    fn what_is_equal_comes_out_as_from_go() {
        // Printed by a Go program (go1.26) that does the same with sort.Sort.
        let table = [
            (13, 3, "any", 0x435d_12e0_d654_9e28),
            (13, 3, "mad", 0x837e_a741_06c0_a5e4),
            (13, 50, "any", 0xb951_88ed_70e5_9fd2),
            (13, 50, "mad", 0x4ca1_83e8_ecba_1280),
            (34, 3, "any", 0x2377_7c49_e395_c2b4),
            (34, 3, "mad", 0x22f7_14ff_8507_3d02),
            (34, 50, "any", 0xd263_110d_20f2_cc12),
            (34, 50, "mad", 0x1731_0102_ac8b_6fda),
            (50, 3, "any", 0x5ac4_e0fb_fa58_41ae),
            (50, 3, "mad", 0x17b8_0590_e869_20dc),
            (50, 50, "any", 0xfcd1_759f_db7c_bffc),
            (50, 50, "mad", 0x2207_aee8_2b15_3360),
            (120, 3, "any", 0x5686_1445_fe0a_32d5),
            (120, 3, "mad", 0x4a10_8bec_5f03_311b),
            (120, 50, "any", 0xbc1c_d220_be5d_69dd),
            (120, 50, "mad", 0x0d27_3f63_f3ea_f233),
            (1000, 3, "any", 0x3969_deb0_ed0f_161b),
            (1000, 3, "down", 0xce76_616a_84e8_b207),
            (1000, 3, "saw", 0xb637_305f_7a4b_d933),
            (1000, 3, "mad", 0xe1f8_d7c7_04c4_dcbf),
            (1000, 50, "any", 0x9b89_7a75_0f00_cbcd),
            (1000, 50, "down", 0x1f20_4f48_877f_72d9),
            (1000, 50, "saw", 0x6d86_1fb5_7b15_87d3),
            (1000, 50, "mad", 0xd82f_3471_4b1c_e071),
        ];
        for (count, modulus, kind, hash) in table {
            assert_eq!(order(count, modulus, kind), hash, "{count} {modulus} {kind}");
        }
    }
}
