//! Gives back the program's own pages that nobody needs right now.
//!
//! Code and constants that were touched once stay resident, sixteen pages at a time, though most of what start-up ran
//! never runs again: more than half of what an idle playground holds. So the kernel is told now and then that these
//! pages are not needed. They stay in its file cache; one that is needed after all is mapped again in a microsecond.
//! Nothing is ever lost: only mappings of the program's file are named, none that was written to.

use std::time::Duration;

use super::Cluster;

/// Between two times. It takes a tenth of a millisecond, and as much until the pages in use are mapped again.
const EVERY: Duration = Duration::from_secs(5);

impl Cluster {
    /// Keeps this process's resident memory small, for as long as the cluster runs. For a process that is a
    /// playground and nothing else.
    pub fn spare_memory(&self) {
        let (clock, own) = (self.0.options.clock, own_pages::find());
        self.0.serving.spawn("spare memory", async move {
            loop {
                clock.sleep(EVERY).await;
                own_pages::give_back(&own);
            }
        });
    }
}

#[cfg(target_os = "linux")]
mod own_pages {
    use std::ffi::c_void;
    use std::ops::Range;

    use rustix::mm::{Advice, madvise};

    /// The mappings of the program's file that nothing was ever written to: code and constants, without the tables of
    /// addresses, which the loader filled in. None where the system does not tell.
    pub fn find() -> Vec<Range<usize>> {
        let (Ok(program), Ok(maps)) = (std::env::current_exe(), std::fs::read_to_string("/proc/self/smaps")) else {
            return Vec::new();
        };
        program.to_str().map(|program| untouched(&maps, program)).unwrap_or_default()
    }

    /// Tells the kernel that these pages are not needed now.
    pub fn give_back(pages: &[Range<usize>]) {
        for Range { start, end } in pages {
            #[allow(unsafe_code, reason = "the file's own bytes, never written to: what is read again is the same")]
            let done = unsafe { madvise(*start as *mut c_void, end - start, Advice::LinuxDontNeed) };
            if let Err(fault) = done {
                tracing::debug!(%fault, "the program's pages stay");
            }
        }
    }

    /// From `/proc/self/smaps`: a line for each mapping, then one for each figure of it.
    pub fn untouched(maps: &str, program: &str) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = Vec::new();
        let mut of_program = false;
        for line in maps.lines() {
            if let Some((range, rights)) = mapping(line) {
                of_program = line.ends_with(program) && !rights.contains('w') && rights.ends_with('p');
                if of_program {
                    found.push(range);
                }
            } else if of_program && line.strip_prefix("Anonymous:").is_some_and(|size| size.trim() != "0 kB") {
                found.pop();
            }
        }
        found
    }

    /// `55d0c0a00000-55d0c1a94000 r--p 00000000 fe:00 1234 /path`: from where to where, and the rights.
    fn mapping(line: &str) -> Option<(Range<usize>, &str)> {
        let mut words = line.split_ascii_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let at = |text: &str| usize::from_str_radix(text, 16).ok();
        Some((at(start)?..at(end)?, words.next()?))
    }
}

#[cfg(not(target_os = "linux"))]
mod own_pages {
    use std::ops::Range;

    /// Only Linux tells which.
    pub fn find() -> Vec<Range<usize>> {
        Vec::new()
    }

    /// Nothing was found.
    pub fn give_back(_: &[Range<usize>]) {}
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::own_pages::{find, give_back, untouched};

    #[test]
    fn what_was_written_to_is_never_named() {
        let maps = "\
55d0c0a00000-55d0c1a94000 r--p 00000000 fe:00 12                         /opt/tutor
Rss:                9000 kB
Anonymous:             0 kB
55d0c1a94000-55d0c4458000 r-xp 01093000 fe:00 12                         /opt/tutor
Anonymous:             0 kB
55d0c4458000-55d0c46df000 r--p 03a56000 fe:00 12                         /opt/tutor
Anonymous:          2564 kB
55d0c46df000-55d0c46e7000 rw-p 03cdc000 fe:00 12                         /opt/tutor
Anonymous:             0 kB
7f0000000000-7f0000001000 r-xp 00000000 fe:00 13                         /usr/lib/libc.so.6
Anonymous:             0 kB
";
        assert_eq!(
            untouched(maps, "/opt/tutor"),
            [0x55d0_c0a0_0000..0x55d0_c1a9_4000, 0x55d0_c1a9_4000..0x55d0_c445_8000]
        );
    }

    #[test]
    fn the_program_goes_on_after_its_pages_were_given_back() {
        let own = find();
        assert!(own.iter().any(|pages| pages.contains(&(give_back as fn(&[_]) as usize))), "{own:x?}");
        let said = "as before".to_owned();
        give_back(&own);
        assert_eq!(said, "as before");
    }
}
