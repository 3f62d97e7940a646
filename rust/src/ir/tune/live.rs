//! Which registers are read again: a backward dataflow over sets of registers as bits.

use super::draft::Draft;
use super::effects::{Role, effects, highest, targets, writes_unless_jumping};

/// Larger sets in all are not computed: a function that long gains nothing that is worth the time.
const MOST_WORDS: usize = 1 << 20;
/// Loops nest less deep.
const MOST_PASSES: usize = 16;

pub(super) struct Live {
    words: usize,
    /// Of each instruction: what is read at it or behind it, before it is written.
    before: Vec<u64>,
}

impl Live {
    /// `None` for a function that is too large, or whose loops nest absurdly.
    pub(super) fn of(draft: &Draft) -> Option<Self> {
        let registers = draft.code.iter().map(highest).max().unwrap_or(0) + 1;
        let words = registers.div_ceil(64);
        let size = words * draft.code.len();
        if size > MOST_WORDS {
            return None;
        }
        let mut live = Self { words, before: vec![0; size] };
        let mut row = vec![0; words];
        for _ in 0..MOST_PASSES {
            let mut changed = false;
            for at in (0..draft.code.len()).rev() {
                live.row(draft, at, &mut row);
                let own = live.before.get_mut(at * words..(at + 1) * words)?;
                if own != row {
                    own.copy_from_slice(&row);
                    changed = true;
                }
            }
            if !changed {
                return Some(live);
            }
        }
        None
    }

    /// What is live before an instruction, from what is live before those that follow.
    fn row(&self, draft: &Draft, at: usize, row: &mut [u64]) {
        let i = draft.at(at);
        let Some(found) = effects(&i) else {
            row.fill(u64::MAX);
            return;
        };
        row.fill(0);
        let after = targets(&i);
        let spared = writes_unless_jumping(i.op).then_some(i.x as usize);
        let next = after.falls_through().then_some(at + 1);
        for to in after.jumps().chain(next).filter(|to| Some(*to) != spared) {
            self.add(to, row);
        }
        if let Some(register) = found.written(&i) {
            clear(row, register);
            if found.is_pair {
                clear(row, register + 1);
            }
        }
        if let Some(to) = spared {
            self.add(to, row);
        }
        for (register, role) in found.operands(&i) {
            if role != Role::Write {
                set(row, register.into());
            }
        }
        let (first, count) = found.window;
        for register in u32::from(first)..u32::from(first) + count {
            set(row, register);
        }
    }

    fn add(&self, at: usize, row: &mut [u64]) {
        for (word, more) in row.iter_mut().zip(self.before.iter().skip(at * self.words)) {
            *word |= more;
        }
    }

    pub(super) fn is_read_at(&self, at: usize, register: u16) -> bool {
        let word = self.before.get(at * self.words + usize::from(register / 64));
        word.is_some_and(|word| word >> (register % 64) & 1 == 1)
    }

    /// Whether a register may be read behind an instruction, before it is written.
    pub(super) fn is_live_after(&self, draft: &Draft, at: usize, register: u16) -> bool {
        let after = targets(&draft.at(at));
        after.jumps().any(|to| self.is_read_at(to, register))
            || (after.falls_through() && self.is_read_at(at + 1, register))
    }

    /// Notes that another register is read wherever one was.
    pub(super) fn rename(&mut self, from: u16, to: u16) {
        for row in self.before.chunks_exact_mut(self.words) {
            let word = row.get(usize::from(from / 64)).copied().unwrap_or(0);
            if word >> (from % 64) & 1 == 1 {
                clear(row, from);
                set(row, to.into());
            }
        }
    }

    /// Notes that a register is read at `to`, which comes straight behind `from`.
    pub(super) fn extend(&mut self, register: u16, from: usize, to: usize) {
        for at in from + 1..=to {
            if let Some(row) = self.before.get_mut(at * self.words..(at + 1) * self.words) {
                set(row, register.into());
            }
        }
    }
}

fn set(row: &mut [u64], register: u32) {
    if let Some(word) = row.get_mut(register as usize / 64) {
        *word |= 1 << (register % 64);
    }
}

fn clear(row: &mut [u64], register: u16) {
    if let Some(word) = row.get_mut(usize::from(register / 64)) {
        *word &= !(1 << (register % 64));
    }
}
