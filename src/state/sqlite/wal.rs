//! Damage in what was written ahead.
//!
//! SQLite reads what was written ahead until the first frame whose checksum is wrong, and takes the rest for the tail
//! of a write that was torn. So one flipped bit would silently cost every event that was promised after it (D-31).
//! Here, before SQLite sees the file, the two are told apart: a transaction is only begun when the one before is synced,
//! so a bad frame that is followed by frames of a *later* transaction was whole once. A single flipped bit can even be
//! put right, because the checksum says when it is; where it does not say which bit, what the page was before does. The file as it was found is kept beside the mended one.
//!
//! The format: <https://www.sqlite.org/fileformat2.html#the_write_ahead_log>.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::FileExt as _,
    path::Path,
};

use super::place::Place;

const HEADER: usize = 32;
const FRAME_HEADER: usize = 24;

/// What the checksum of a frame covers of its head: the number of the page, and the size after a commit.
const COVERED: usize = 8;

/// What was found out about the file, and done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mended {
    /// Frames in which one bit was put right.
    pub(super) right: usize,
    /// Frames that are damaged beyond that, and were left as they are: the checksums of rows find what is wrong.
    pub(super) left: usize,
}

/// Two sums that go on from frame to frame.
type Sum = [u32; 2];

/// What is written ahead of a journal.
struct Ahead {
    bytes: Vec<u8>,
    page: usize,
    big_endian: bool,
    salt: [u8; 8],
    /// The file that all this is ahead of.
    file: Option<fs::File>,
}

/// A bit that may have changed: its byte, and its place in that.
#[derive(Clone, Copy)]
struct Flip {
    at: usize,
    bit: u8,
}

impl Place {
    /// Looks for damage in what was written ahead, and mends it. To be called before SQLite opens the file.
    pub(super) fn mend(&self) -> io::Result<Option<Mended>> {
        let path = self.beside("-wal");
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let Some(mut ahead) = Ahead::parse(bytes, fs::File::open(self.path()).ok()) else { return Ok(None) };
        let Some(end) = ahead.proven_end() else {
            // A torn tail goes, so that nothing of it can be taken for a later transaction the next time.
            let whole = ahead.start(ahead.whole());
            if whole < ahead.bytes.len() {
                let file = fs::File::options().write(true).open(&path)?;
                file.set_len(whole as u64)?;
                file.sync_all()?;
            }
            return Ok(None);
        };
        let mended = ahead.mend(end);
        self.replace(&path, &ahead.bytes)?;
        Ok(Some(mended))
    }

    /// Puts the mended file in the place of the damaged one, which is kept.
    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let (temporary, kept) = (self.beside("-wal.mended"), self.beside("-wal.damaged"));
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = Self::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        if !fs::exists(&kept)? {
            fs::hard_link(path, kept)?;
        }
        fs::rename(&temporary, path)?;
        self.sync_directory()
    }
}

impl Ahead {
    /// Reads the head of the file, which may be damaged itself: all but the salt is known, and every frame repeats that.
    fn parse(bytes: Vec<u8>, file: Option<fs::File>) -> Option<Self> {
        let head = bytes.get(..HEADER)?;
        let big_endian = match word(head, 0) {
            0x377f_0682 => false,
            0x377f_0683 => true,
            _ => return None,
        };
        let page = usize::try_from(word(head, 8)).ok().filter(|size| size.is_power_of_two() && *size >= 512)?;
        let salt = head[16..24].try_into().expect("eight bytes");
        let ahead = Self { bytes, page, big_endian, salt, file };
        // A damaged head would be another matter; SQLite then begins anew, and so would we.
        (ahead.sum([0, 0], &ahead.bytes[..HEADER - 8]) == ahead.stored(HEADER - 8)).then_some(ahead)
    }

    /// The number of frames up to the last commit that is proven to have been whole, if there is damage before it.
    fn proven_end(&self) -> Option<usize> {
        let frames = self.frames();
        let bad = (0..frames).find(|index| !self.good(*index))?;
        let commit = (bad..frames).find(|index| self.commits(*index))?;
        // Two in a row that fit each other are no coincidence; and they end a later transaction. One that was only begun
        // may be what was left of a write that failed.
        (commit + 1..frames).rfind(|index| self.good(*index) && self.commits(*index)).map(|last| last + 1)
    }

    /// The number of frames up to the last commit before anything is wrong: what SQLite reads.
    fn whole(&self) -> usize {
        let good = (0..self.frames()).take_while(|index| self.good(*index));
        good.filter(|index| self.commits(*index)).last().map_or(0, |last| last + 1)
    }

    /// Makes every frame before `end` fit, and cuts off the rest.
    fn mend(&mut self, end: usize) -> Mended {
        let mut mended = Mended::default();
        let mut sum = self.stored(HEADER - 8);
        for index in 0..end {
            let start = self.start(index);
            let (salt, stored) = (start + 8, self.stored(start + 16));
            let next = self.frame_sum(sum, index);
            if self.bytes[salt..salt + 8] != self.salt || next != stored {
                // Where the next frame fits to what this one should say, only its checksum or salt is wrong.
                let fits =
                    index + 1 < end && self.frame_sum(next, index + 1) == self.stored(self.start(index + 1) + 16);
                if fits || self.flip_back(sum, index, stored) {
                    mended.right += 1;
                } else {
                    mended.left += 1;
                }
                let salt_bytes = self.salt;
                self.bytes[salt..salt + 8].copy_from_slice(&salt_bytes);
            }
            sum = self.frame_sum(sum, index);
            let [first, second] = sum;
            self.bytes[start + 16..start + 20].copy_from_slice(&first.to_be_bytes());
            self.bytes[start + 20..start + 24].copy_from_slice(&second.to_be_bytes());
        }
        self.bytes.truncate(self.start(end));
        mended
    }

    /// Looks for the one bit of a frame that makes it fit, and flips it.
    fn flip_back(&mut self, sum: Sum, index: usize, stored: Sum) -> bool {
        let fitting = self.fitting(sum, index, stored);
        let flip = if let [only] = fitting[..] { Some(only) } else { self.likely(index, &fitting) };
        if let Some(Flip { at, bit }) = flip {
            self.bytes[at] ^= bit;
        }
        flip.is_some()
    }

    /// Every bit of a frame that would make it fit.
    ///
    /// The sums are linear: a word that is larger by one makes them larger by what depends only on how many pairs of
    /// words follow. So one walk from the end tries every bit. The higher a bit, the less its change says of its place:
    /// of the highest one, a sum modulo 2^32 only keeps whether what it is multiplied by is odd, and so many others fit.
    fn fitting(&self, sum: Sum, index: usize, stored: Sum) -> Vec<Flip> {
        let start = self.start(index);
        let computed = self.frame_sum(sum, index);
        let missing = [stored[0].wrapping_sub(computed[0]), stored[1].wrapping_sub(computed[1])];
        let body = start + FRAME_HEADER;
        let pairs = (body..body + self.page).step_by(8).rev().chain([start]);
        let (mut of_first, mut of_second): (Sum, Sum) = ([1, 1], [0, 1]);
        let mut fitting = Vec::new();
        for pair in pairs {
            for (at, weight) in [(pair, of_first), (pair + 4, of_second)] {
                let word = self.read(at);
                for bit in 0..32 {
                    let change = if word >> bit & 1 == 0 { 1_u32 << bit } else { (1_u32 << bit).wrapping_neg() };
                    if weight.map(|weight| weight.wrapping_mul(change)) == missing {
                        let byte = if self.big_endian { 3 - bit / 8 } else { bit / 8 };
                        fitting.push(Flip { at: at + byte, bit: 1 << (bit % 8) });
                    }
                }
            }
            [of_first, of_second] = [of_first, of_second].map(|[first, second]| {
                let first = first.wrapping_add(second);
                [first, second.wrapping_add(first)]
            });
        }
        fitting
    }

    /// Of several bits that would make a frame fit, the one that what the page was before speaks for; none if that is not
    /// one alone. Most of a page stays as it was from one commit to the next.
    fn likely(&self, index: usize, fitting: &[Flip]) -> Option<Flip> {
        let (start, body) = (self.start(index), self.start(index) + FRAME_HEADER);
        let flipped = |flip: &Flip| {
            let mut head: [u8; COVERED] = self.bytes[start..start + COVERED].try_into().expect("eight bytes");
            head[flip.at - start] ^= flip.bit;
            (word(&head, 0), word(&head, 4))
        };
        let (number, size) = (word(&self.bytes, start), word(&self.bytes, start + 4));
        let alike = |number| {
            let before = self.before(index, number).unwrap_or_default();
            before.iter().zip(&self.bytes[body..]).filter(|(then, now)| then == now).count()
        };
        let of_head = |flip: &&Flip| {
            let (flipped, resized) = flipped(flip);
            // It was another page, or it ended a transaction, or did not.
            flipped != number && alike(flipped) > alike(number) || resized != size && !self.is_size(index, size)
        };
        if let Some(head) = fitting.iter().filter(|flip| flip.at < body).find(of_head) {
            return Some(*head);
        }
        let before = self.before(index, number)?;
        let as_before = |flip: &&Flip| flip.at >= body && before[flip.at - body] == self.bytes[flip.at] ^ flip.bit;
        let mut likely = fitting.iter().filter(as_before);
        likely.next().filter(|_| likely.next().is_none()).copied()
    }

    /// Whether a frame may say that the file has so many pages after it: none, or about as many as the others say.
    fn is_size(&self, index: usize, size: u32) -> bool {
        let others = (0..self.frames()).filter(|other| *other != index && self.is_of_now(*other));
        let most = others.map(|other| word(&self.bytes, self.start(other) + 4)).max().unwrap_or(0);
        size == 0 || size.abs_diff(most) < most / 2
    }

    /// What a page was before a frame: in an earlier one, or in the file.
    fn before(&self, index: usize, number: u32) -> Option<Vec<u8>> {
        let earlier = (0..index).rev().find(|earlier| word(&self.bytes, self.start(*earlier)) == number);
        if let Some(earlier) = earlier {
            let body = self.start(earlier) + FRAME_HEADER;
            return Some(self.bytes[body..body + self.page].to_vec());
        }
        let mut page = vec![0; self.page];
        let at = u64::from(number.checked_sub(1)?) * self.page as u64;
        self.file.as_ref()?.read_exact_at(&mut page, at).ok()?;
        Some(page)
    }

    fn frames(&self) -> usize {
        (self.bytes.len() - HEADER) / (FRAME_HEADER + self.page)
    }

    fn start(&self, index: usize) -> usize {
        HEADER + index * (FRAME_HEADER + self.page)
    }

    /// Whether a frame fits to what the one before says of itself.
    fn good(&self, index: usize) -> bool {
        self.is_of_now(index) && self.fits(index)
    }

    /// Whether a frame was written since the file was begun anew.
    fn is_of_now(&self, index: usize) -> bool {
        let start = self.start(index);
        self.bytes[start + 8..start + 16] == self.salt
    }

    fn fits(&self, index: usize) -> bool {
        let before = if index == 0 { HEADER - 8 } else { self.start(index - 1) + 16 };
        self.frame_sum(self.stored(before), index) == self.stored(self.start(index) + 16)
    }

    /// Whether a frame is the last of a transaction, and of now: what was written before the file was begun anew says
    /// nothing, nor does what lies where nothing was written.
    fn commits(&self, index: usize) -> bool {
        let is_of_now = || self.is_of_now(index) || index > 0 && self.is_of_now(index - 1) && self.fits(index);
        word(&self.bytes, self.start(index) + 4) != 0 && is_of_now()
    }

    fn frame_sum(&self, sum: Sum, index: usize) -> Sum {
        let start = self.start(index);
        let sum = self.sum(sum, &self.bytes[start..start + COVERED]);
        self.sum(sum, &self.bytes[start + FRAME_HEADER..start + FRAME_HEADER + self.page])
    }

    fn stored(&self, at: usize) -> Sum {
        [word(&self.bytes, at), word(&self.bytes, at + 4)]
    }

    fn sum(&self, [mut first, mut second]: Sum, bytes: &[u8]) -> Sum {
        for pair in bytes.chunks_exact(8) {
            let [a, b] = [&pair[..4], &pair[4..]].map(|word| self.number(word));
            first = first.wrapping_add(a).wrapping_add(second);
            second = second.wrapping_add(b).wrapping_add(first);
        }
        [first, second]
    }

    /// A word of a page, as the sums take it.
    fn read(&self, at: usize) -> u32 {
        self.number(&self.bytes[at..at + 4])
    }

    fn number(&self, word: &[u8]) -> u32 {
        let word = word.try_into().expect("four bytes");
        if self.big_endian { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) }
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}
