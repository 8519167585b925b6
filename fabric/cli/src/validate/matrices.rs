//! Matrices of the recorded cases, made by the rule that a case's name tells
//! (`results/baselines/README.md`).

use workloads::matrix::Matrix;
use workloads::patterns;

/// The matrix of a case.
///
/// # Errors
/// A sentence, when the name follows no rule.
pub fn by_name(case: &str) -> Result<Matrix, String> {
    made(case).ok_or_else(|| {
        format!(
            "`{case}` names no matrix; known are permH_sS_BYTES, incastK_BYTES_H, one_BYTES_H, \
             pair_same_tor_BYTES_H, ringR_BYTES_H and a2aR_BYTES_H"
        )
    })
}

fn made(case: &str) -> Option<Matrix> {
    let whole = case.replace("same_tor", "sametor");
    let parts: Vec<&str> = whole.split('_').collect();
    let name = parts.first()?.trim_end_matches(|c: char| c.is_ascii_digit());
    let count = parts[0][name.len()..].parse::<u32>().ok();
    // The last part is the number of hosts, and what stands before it the size.
    let (hosts, bytes) = match parts[..] {
        [_, bytes, hosts] | [_, _, bytes, hosts] if name != "perm" => {
            (hosts.parse::<u32>().ok()?, size(bytes)?)
        }
        [_, _, bytes] => (count?, size(bytes)?),
        _ => return None,
    };
    if hosts < 2 || bytes == 0 {
        return None;
    }
    match (name, count) {
        ("perm", _) => {
            let seed = parts[1].strip_prefix('s')?.parse().ok()?;
            Some(patterns::permutation(hosts, bytes, seed))
        }
        ("incast", Some(senders)) => patterns::incast(hosts, senders, 0, bytes).ok(),
        ("one", None) => Some(patterns::single(hosts, 0, hosts - 1, bytes)),
        ("pair", None) => Some(patterns::single(hosts, 0, 1, bytes)),
        ("ring", Some(ranks)) if (2..=hosts).contains(&ranks) => {
            Some(patterns::acknowledged_ring(hosts, ranks, bytes))
        }
        ("a2a", Some(ranks)) if (2..=hosts).contains(&ranks) => {
            Some(patterns::all_pairs(hosts, ranks, bytes))
        }
        _ => None,
    }
}

/// `256KB`: powers of 1000.
fn size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "B" => 1,
        "KB" => 1_000,
        "MB" => 1_000_000,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use workloads::matrix::parse;

    /// What a case's name makes is what its recorded file holds, wherever the files are.
    #[test]
    fn rules_make_the_recorded_matrices() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/cases");
        let Ok(entries) = std::fs::read_dir(&folder) else {
            eprintln!("SKIP: the recorded cases are not at {}", folder.display());
            return;
        };
        let mut count = 0;
        for entry in entries {
            let path = entry.expect("an entry").path();
            if path.extension().is_none_or(|extension| extension != "cm") {
                continue;
            }
            let case = path.file_stem().expect("a name").to_string_lossy().into_owned();
            let mut recorded = parse(&std::fs::read_to_string(&path).expect("text")).expect("good");
            recorded.connections.iter_mut().for_each(|connection| connection.line = 0);
            recorded.triggers.iter_mut().for_each(|trigger| trigger.line = 0);
            assert!(by_name(&case).expect("a rule") == recorded, "{case}");
            count += 1;
        }
        assert!(count >= 11, "{count} cases");
    }

    /// A name that follows no rule is an error that lists the rules.
    #[test]
    fn other_names_are_refused() {
        for case in
            ["", "perm", "perm128_2MB", "incast_1MB_128", "one_2MB", "ring0_1MB_8", "x_1MB_8"]
        {
            let error = by_name(case).unwrap_err();
            assert!(error.starts_with(&format!("`{case}` names no matrix")), "{error}");
        }
    }
}
