//! Two texts side by side, line by line.

/// Larger pairs of texts are shown as wholes: the table that finds the common lines grows with their product.
const LARGEST: usize = 4_000_000;
/// Equal lines that are shown around those that differ.
const AROUND: usize = 2;
/// The most lines of a difference.
const MOST: usize = 60;

/// The lines that differ, with those around them: `- ` only left, `+ ` only right, two blanks in both.
#[must_use]
pub fn line_difference(left: &str, right: &str) -> String {
    let (a, b): (Vec<_>, Vec<_>) = (left.split('\n').collect(), right.split('\n').collect());
    let start = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let rest = a.len().min(b.len()) - start;
    let same_end =
        a.iter().rev().zip(b.iter().rev()).take(rest).take_while(|(x, y)| x == y).count();
    let (end_a, end_b) = (a.len() - same_end, b.len() - same_end);
    let part = |lines: &[&str], from: usize, to: usize, mark: &str| -> Vec<String> {
        lines.iter().take(to).skip(from).map(|line| format!("{mark} {line}")).collect()
    };
    let mut shown = part(&a, start.saturating_sub(AROUND), start, " ");
    let inner_a = a.get(start..end_a).unwrap_or_default();
    let inner_b = b.get(start..end_b).unwrap_or_default();
    shown.extend(middle(inner_a, inner_b));
    shown.extend(part(&a, end_a, end_a + AROUND, " "));
    if shown.len() > MOST {
        let left_out = shown.len() - MOST;
        shown.truncate(MOST);
        shown.push(format!("  ... and {left_out} more lines"));
    }
    shown.join("\n")
}

/// The two middles, whose first and last lines differ: what they have in common is the longest such sequence.
fn middle(a: &[&str], b: &[&str]) -> Vec<String> {
    let (rows, columns) = (a.len() + 1, b.len() + 1);
    let removed = |line: &&str| format!("- {line}");
    let added = |line: &&str| format!("+ {line}");
    if rows.saturating_mul(columns) > LARGEST {
        return a.iter().map(removed).chain(b.iter().map(added)).collect();
    }
    // common[i * columns + j]: length of the longest common sequence of a[i..] and b[j..].
    let mut common = vec![0_u32; rows * columns];
    let at = |common: &[u32], i: usize, j: usize| common.get(i * columns + j).copied().unwrap_or(0);
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            let best = if a.get(i) == b.get(j) {
                at(&common, i + 1, j + 1) + 1
            } else {
                at(&common, i + 1, j).max(at(&common, i, j + 1))
            };
            if let Some(cell) = common.get_mut(i * columns + j) {
                *cell = best;
            }
        }
    }
    let (mut i, mut j, mut shown) = (0, 0, Vec::new());
    loop {
        match (a.get(i), b.get(j)) {
            (Some(x), Some(y)) if x == y => {
                shown.push(format!("  {x}"));
                (i, j) = (i + 1, j + 1);
            }
            (Some(x), y) if y.is_none() || at(&common, i + 1, j) >= at(&common, i, j + 1) => {
                shown.push(removed(x));
                i += 1;
            }
            (_, Some(y)) => {
                shown.push(added(y));
                j += 1;
            }
            (_, None) => return shown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_what_differs_and_two_lines_around() {
        let left = "1\n2\n3\n4\nold\n5\nsame\n6\n7\n8";
        let right = "1\n2\n3\n4\nnew\n5\nsame\nmore\n6\n7\n8";
        let expected = "  3\n  4\n- old\n+ new\n  5\n  same\n+ more\n  6\n  7";
        assert_eq!(line_difference(left, right), expected);
        assert_eq!(line_difference("a\nb", "a"), "  a\n- b");
        assert_eq!(line_difference("a", "a\n"), "  a\n+ ");
        assert_eq!(line_difference("x\na", "a"), "- x\n  a");
        assert_eq!(line_difference("a\na\na", "a\na"), "  a\n  a\n- a");
    }

    #[test]
    fn very_long_texts_are_cut() {
        let left = "x\n".repeat(10_000);
        let right = "y\n".repeat(10_000);
        let shown = line_difference(&left, &right);
        assert_eq!(shown.lines().count(), MOST + 1);
        assert!(shown.ends_with("more lines"));
    }
}
