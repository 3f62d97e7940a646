//! Values go straight to where they are moved, and are read where they came from.

use std::collections::{HashMap, HashSet};

use super::draft::Draft;
use super::effects::{Role, Targets, effects, highest, overwrites, targets};
use super::live::Live;
use crate::ir::ops::{Instr, Op};

/// How many instructions may stand between a copy and its only use.
const FAR: usize = 6;

/// An instruction whose result the next one moves elsewhere writes it there.
pub(super) fn results(draft: &mut Draft, live: &Live) {
    for at in 0..draft.code.len() {
        while let Some((better, next)) = result(draft, live, at) {
            draft.put(at, better);
            draft.skip(next);
        }
    }
}

fn result(draft: &Draft, live: &Live, at: usize) -> Option<(Instr, usize)> {
    let i = draft.at(at);
    let result = effects(&i).filter(|found| !found.is_pair)?.written(&i)?;
    let next = behind(draft, at)?;
    let to = draft.at(next);
    let is_moved = matches!(to.op, Op::Move | Op::Copy) && to.b == result && to.a != result;
    (is_moved && !live.is_live_after(draft, next, result)).then_some((Instr { a: to.a, ..i }, next))
}

/// The instruction that follows, if control comes there from nowhere else.
fn behind(draft: &Draft, at: usize) -> Option<usize> {
    let follows = match targets(&draft.at(at)) {
        Targets::Both(_, y) => y == at + 1,
        other => other.falls_through(),
    };
    follows.then(|| draft.next(at)).flatten()
}

/// A copy that is read once, nearby, falls away: its source is read instead.
pub(super) fn sources(draft: &mut Draft, live: &mut Live) {
    for at in 0..draft.code.len() {
        let i = draft.at(at);
        let is_move = i.op == Op::Move;
        if !(is_move || i.op == Op::Copy) || i.a == i.b {
            continue;
        }
        // A move leaves nil behind, which somebody may read.
        if is_move && live.is_live_after(draft, at, i.b) {
            continue;
        }
        let mut here = at;
        for _ in 0..FAR {
            let Some(next) = draft.next(here) else { break };
            here = next;
            let user = draft.at(here);
            let Some(found) = effects(&user) else { break };
            let is_lost = overwrites(user.op) && i.b >= found.window.0;
            if found.in_window(i.a) || found.in_window(i.b) || is_lost {
                break;
            }
            let is_read = |(register, role)| register == i.a && !matches!(role, Role::Write);
            if found.operands(&user).any(is_read) {
                if let Some(better) = reading(&user, &found.roles, i, is_move)
                    && (found.written(&user) == Some(i.a) || !live.is_live_after(draft, here, i.a))
                {
                    draft.put(here, better);
                    draft.skip(at);
                    live.extend(i.b, at, here);
                }
                break;
            }
            let changes =
                |(register, role)| register == i.a || (register == i.b && role != Role::Read);
            let is_plain = matches!(targets(&user), Targets::Next) && !found.is_pair;
            if !is_plain || found.operands(&user).any(changes) {
                break;
            }
        }
    }
}

/// A copy that is only read falls away wherever it is read, if its source never changes while the copy is alive.
pub(super) fn aliases(draft: &mut Draft, live: &mut Live) {
    let Some(mut uses) = Uses::of(draft) else { return };
    for at in 0..draft.code.len() {
        let i = draft.at(at);
        let is_move = i.op == Op::Move;
        if !(is_move || i.op == Op::Copy)
            || i.a == i.b
            || !uses.is_only_read(i.a)
            || live.is_read_at(0, i.a)
            // A move leaves nil behind, which somebody may read.
            || (is_move && live.is_live_after(draft, at, i.b))
        {
            continue;
        }
        let changes = uses.changes(i.b);
        if changes.iter().any(|place| *place != at && live.is_live_after(draft, *place, i.a)) {
            continue;
        }
        draft.skip(at);
        for place in uses.rename(i.a, i.b) {
            let mut user = draft.at(place);
            let Some(found) = effects(&user) else { continue };
            for (slot, role) in [&mut user.a, &mut user.b, &mut user.c].into_iter().zip(found.roles)
            {
                if role == Role::Read && *slot == i.a {
                    *slot = i.b;
                }
            }
            draft.put(place, user);
        }
        live.rename(i.a, i.b);
    }
}

/// Where registers are read and changed.
#[derive(Default)]
struct Uses {
    reads: HashMap<u16, Vec<usize>>,
    changes: HashMap<u16, Vec<usize>>,
    /// In windows and pairs, where the place of a register counts.
    bound: HashSet<u16>,
}

impl Uses {
    /// `None` if an instruction is not known.
    fn of(draft: &Draft) -> Option<Self> {
        let mut uses = Self::default();
        let top = u32::try_from(draft.code.iter().map(highest).max()?).ok()?;
        for (at, i) in draft.code.iter().enumerate() {
            let found = effects(i)?;
            for (register, role) in found.operands(i) {
                let to = if role == Role::Read { &mut uses.reads } else { &mut uses.changes };
                to.entry(register).or_default().push(at);
            }
            let (first, count) = found.window;
            let pair = found.is_pair.then_some(u32::from(i.a) + 1);
            let behind = u32::from(first) + count;
            let lost = if overwrites(i.op) { behind..top } else { 0..0 };
            for register in (first.into()..behind).chain(pair).chain(lost) {
                let register = u16::try_from(register).ok()?;
                uses.bound.insert(register);
                uses.changes.entry(register).or_default().push(at);
            }
        }
        Some(uses)
    }

    /// Whether a register is written once and otherwise only read.
    fn is_only_read(&self, register: u16) -> bool {
        !self.bound.contains(&register)
            && self.changes.get(&register).is_some_and(|places| places.len() == 1)
    }

    fn changes(&self, register: u16) -> &[usize] {
        self.changes.get(&register).map_or(&[], Vec::as_slice)
    }

    /// From now on another register is read; gives the places.
    fn rename(&mut self, from: u16, to: u16) -> Vec<usize> {
        let places = self.reads.remove(&from).unwrap_or_default();
        self.changes.remove(&from);
        self.reads.entry(to).or_default().extend(&places);
        places
    }
}

/// The user of a copy with the source in its place, if it only reads it; what was moved may also be taken.
fn reading(user: &Instr, roles: &[Role; 3], copy: Instr, is_move: bool) -> Option<Instr> {
    let mut better = *user;
    for (slot, role) in [&mut better.a, &mut better.b, &mut better.c].into_iter().zip(roles) {
        match role {
            Role::No | Role::Write => continue,
            _ if *slot != copy.a => continue,
            Role::Read => {}
            Role::Take if is_move => {}
            Role::Take | Role::Edit => return None,
        }
        *slot = copy.b;
    }
    Some(better)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::tune::testing::instr;
    use crate::ir::tune::tune;

    fn tuned(code: &[Instr]) -> Vec<Instr> {
        tune(code.to_vec()).code
    }

    #[test]
    fn a_result_goes_where_it_is_moved() {
        let sum = instr(Op::AddInt, 3, 1, 2);
        let end = instr(Op::Return, 0, 0, 0);
        let found = tuned(&[sum, instr(Op::Move, 0, 3, 0), end]);
        assert_eq!(found, [instr(Op::AddInt, 0, 1, 2), end]);
        // It is read again.
        let code = [sum, instr(Op::Copy, 0, 3, 0), instr(Op::AddInt, 0, 0, 3), end];
        assert_eq!(tuned(&code), [sum, instr(Op::AddInt, 0, 3, 3), end]);
    }

    #[test]
    fn a_copy_that_is_read_once_falls_away() {
        let (sum, end) = (instr(Op::AddInt, 0, 3, 2), instr(Op::Return, 0, 0, 0));
        assert_eq!(tuned(&[instr(Op::Copy, 3, 1, 0), sum, end]), [instr(Op::AddInt, 0, 1, 2), end]);
        // The source changes before the copy is read.
        let step = Instr { op: Op::AddIntImm, a: 1, b: 1, c: 0, x: 1, y: 0 };
        let twice = [instr(Op::AddInt, 0, 0, 1), end];
        assert_eq!(tuned(&[&[instr(Op::Copy, 3, 1, 0), step, sum], &twice[..]].concat()).len(), 5);
    }

    #[test]
    fn a_copy_falls_away_across_jumps_while_its_source_stays() {
        let x = |x, instr: Instr| Instr { x, ..instr };
        let code = |between: Instr| {
            [
                instr(Op::Copy, 4, 1, 0),
                x(3, instr(Op::JumpIf, 2, 0, 0)),
                between,
                instr(Op::AddInt, 0, 4, 4),
                instr(Op::SubInt, 0, 0, 4),
                instr(Op::Return, 0, 0, 0),
            ]
        };
        let kept = |between| tuned(&code(between)).first().map(|i| i.op) == Some(Op::Copy);
        assert!(!kept(instr(Op::Nil, 2, 0, 0)));
        let found = tuned(&code(instr(Op::Nil, 2, 0, 0)));
        assert_eq!(
            found[found.len() - 3..][..2].iter().map(|i| (i.b, i.c)).collect::<Vec<_>>(),
            [(1, 1), (0, 1)]
        );
        // The source is written, changed, taken, or part of a window; the copy has another value, or is no plain operand.
        assert!(kept(instr(Op::Nil, 1, 0, 0)));
        assert!(kept(instr(Op::ArrayPush, 1, 2, 0)));
        assert!(kept(instr(Op::Drop, 1, 0, 0)));
        assert!(kept(x(1, instr(Op::Array, 2, 1, 0))));
        assert!(kept(instr(Op::Nil, 4, 0, 0)));
        assert!(kept(x(1, instr(Op::Array, 2, 4, 0))));
        assert!(kept(instr(Op::Print, 2, 0, 0)));
        // The registers of a function that is called begin at the window.
        assert!(kept(x(7, instr(Op::Call, 2, 0, 0))));
        // The copy is a parameter before.
        let early = [instr(Op::AddInt, 3, 4, 4), instr(Op::SubInt, 5, 3, 3)];
        let first = [&early[..], &code(instr(Op::Nil, 2, 0, 0))].concat();
        assert!(tuned(&first).iter().any(|i| i.op == Op::Copy));
    }

    #[test]
    fn what_is_copied_is_not_taken_from_its_source() {
        let code = [
            instr(Op::Copy, 3, 1, 0),
            instr(Op::Some, 0, 3, 0),
            instr(Op::Eq, 0, 0, 1),
            instr(Op::Return, 0, 0, 0),
        ];
        assert_eq!(tuned(&code), code);
    }
}
