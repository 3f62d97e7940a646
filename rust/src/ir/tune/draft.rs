//! Code while it is rewritten: what falls away becomes `Skip`, so that places stay what they are until the end.

use super::Tuned;
use super::effects::{Targets, targets};
use crate::ir::ops::{Instr, Op};

pub(super) struct Draft {
    pub(super) code: Vec<Instr>,
    /// Whether some instruction jumps here.
    pub(super) is_target: Vec<bool>,
}

pub(super) const SKIP: Instr = Instr { op: Op::Skip, a: 0, b: 0, c: 0, x: 0, y: 0 };

impl Draft {
    pub(super) fn new(mut code: Vec<Instr>) -> Self {
        for (instr, behind) in code.iter_mut().zip(1..) {
            if matches!(instr.op, Op::RangeNext | Op::ArrayNext | Op::MapNext) {
                instr.y = behind;
            }
        }
        let mut draft = Self { is_target: vec![false; code.len()], code };
        draft.find_targets();
        draft
    }

    /// Looks for the places that are jumped to. The body of a loop is none if nothing else leads there.
    pub(super) fn find_targets(&mut self) {
        self.is_target.fill(false);
        for (at, instr) in self.code.iter().enumerate() {
            for target in targets(instr).jumps() {
                if target != at + 1
                    && let Some(mark) = self.is_target.get_mut(target)
                {
                    *mark = true;
                }
            }
        }
    }

    pub(super) fn at(&self, at: usize) -> Instr {
        self.code.get(at).copied().unwrap_or(SKIP)
    }

    pub(super) fn put(&mut self, at: usize, instr: Instr) {
        if let Some(slot) = self.code.get_mut(at) {
            *slot = instr;
        }
    }

    pub(super) fn skip(&mut self, at: usize) {
        self.put(at, SKIP);
    }

    /// The place of the next instruction that is not skipped, if control comes there from nowhere but `at`.
    pub(super) fn next(&self, at: usize) -> Option<usize> {
        let mut next = at + 1;
        loop {
            if *self.is_target.get(next)? {
                return None;
            }
            if self.at(next).op != Op::Skip {
                return Some(next);
            }
            next += 1;
        }
    }

    /// Leaves out what is skipped and what control never comes to.
    pub(super) fn finish(mut self) -> Tuned {
        let reached = self.reached();
        let mut places = vec![0_u32; self.code.len()];
        let mut kept = 0;
        for (at, is_reached) in reached.iter().enumerate() {
            if let Some(place) = places.get_mut(at) {
                *place = kept;
            }
            kept += u32::from(*is_reached && self.at(at).op != Op::Skip);
        }
        for instr in &mut self.code {
            let moved = |target: usize| places.get(target).copied().unwrap_or(0);
            match targets(instr) {
                Targets::Next | Targets::None => {}
                Targets::Jump(x) | Targets::Maybe(x) => instr.x = moved(x),
                Targets::Both(x, y) => (instr.x, instr.y) = (moved(x), moved(y)),
                Targets::MaybeBoth(x, y) => (instr.x, instr.y) = (moved(x), moved(y)),
            }
        }
        let kept = (self.code.into_iter().zip(0..).zip(reached))
            .filter(|((instr, _), is_reached)| *is_reached && instr.op != Op::Skip);
        let (code, origins) = kept.map(|(pair, _)| pair).unzip();
        Tuned { code, origins }
    }

    fn reached(&self) -> Vec<bool> {
        let mut reached = vec![false; self.code.len()];
        let mut pending = vec![0];
        while let Some(at) = pending.pop() {
            match reached.get_mut(at) {
                Some(mark) if !*mark => *mark = true,
                _ => continue,
            }
            let found = targets(&self.at(at));
            pending.extend(found.jumps());
            if found.falls_through() {
                pending.push(at + 1);
            }
        }
        reached
    }
}
