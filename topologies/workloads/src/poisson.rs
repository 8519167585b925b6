//! Flows that arrive at random: Poisson arrivals between random hosts, sizes from a distribution.

use fabric::ids::HostId;
use fabric::rng::SplitMix64;
use fabric::units::{Rate, Span, Time};
use topologies::text::{TextError, words};

use crate::math::ln;
use crate::matrix::{Connection, Matrix, Start};

/// Most flows of one workload.
pub(crate) const MOST_FLOWS: f64 = 16e6;

/// Published distributions: bytes, and percent of flows that are not larger. As the traffic generator of HPCC's authors has
/// them (alibaba-edu/High-Precision-Congestion-Control, `traffic_gen`): web search of DCTCP (SIGCOMM 2010), Facebook's Hadoop
/// (SIGCOMM 2015), Alibaba's storage (2019), and Google's RPCs (2008; of its 900 points those at powers of two, between which they
/// are straight).
pub const PUBLISHED: [(&str, &[(f64, f64)]); 4] = [
    (
        "websearch",
        &[
            (0.0, 0.0),
            (10e3, 15.0),
            (20e3, 20.0),
            (30e3, 30.0),
            (50e3, 40.0),
            (80e3, 53.0),
            (200e3, 60.0),
            (1e6, 70.0),
            (2e6, 80.0),
            (5e6, 90.0),
            (10e6, 97.0),
            (30e6, 100.0),
        ],
    ),
    (
        "hadoop",
        &[
            (0.0, 0.0),
            (100.0, 1.0),
            (200.0, 2.0),
            (300.0, 5.0),
            (350.0, 15.0),
            (400.0, 20.0),
            (500.0, 30.0),
            (600.0, 40.0),
            (700.0, 50.0),
            (1e3, 60.0),
            (2e3, 67.0),
            (7e3, 70.0),
            (30e3, 72.0),
            (50e3, 82.0),
            (80e3, 87.0),
            (120e3, 90.0),
            (300e3, 95.0),
            (1e6, 97.5),
            (2e6, 99.0),
            (10e6, 100.0),
        ],
    ),
    (
        "ali-storage",
        &[
            (0.0, 0.0),
            (4e3, 22.93),
            (8e3, 69.21),
            (16e3, 80.61),
            (32e3, 90.47),
            (64e3, 93.53),
            (128e3, 96.77),
            (256e3, 97.53),
            (2e6, 100.0),
        ],
    ),
    (
        "google-rpc",
        &[
            (0.0, 0.0),
            (3.0, 6.48826),
            (32.0, 9.73239),
            (64.0, 15.5271),
            (128.0, 35.1573),
            (256.0, 49.7901),
            (512.0, 78.4921),
            (1_024.0, 86.32),
            (2_048.0, 90.8862),
            (4_096.0, 93.4955),
            (8_192.0, 96.4309),
            (16_384.0, 98.4694),
            (32_768.0, 99.0402),
            (65_536.0, 99.3256),
            (131_072.0, 99.7129),
            (262_144.0, 99.8453),
            (524_288.0, 99.9498),
            (1_047_917.0, 99.9758),
            (2_113_675.0, 99.9889),
            (4_135_977.0, 99.9952),
            (15_158_197.0, 100.0),
        ],
    ),
];

/// A distribution of flow sizes: bytes and the share of flows that are not larger, linear in between.
#[derive(Clone, PartialEq, Debug)]
pub struct Sizes(Vec<(f64, f64)>);

impl Sizes {
    /// A published distribution by its name.
    pub fn published(name: &str) -> Option<Sizes> {
        let (_, points) = PUBLISHED.iter().find(|(known, _)| *known == name)?;
        Some(Sizes(points.iter().map(|(bytes, percent)| (*bytes, percent / 100.0)).collect()))
    }

    /// Web search (DCTCP, SIGCOMM 2010), as the HPCC authors use it (`formats.md`).
    pub fn websearch() -> Sizes {
        Sizes::published("websearch").unwrap_or_else(|| Sizes::fixed(1))
    }

    /// All flows have `bytes`.
    pub fn fixed(bytes: u64) -> Sizes {
        Sizes(vec![(bytes as f64, 0.0), (bytes as f64, 1.0)])
    }

    /// Reads lines of `BYTES PERCENT`, growing in both, the last at 100 %.
    ///
    /// # Errors
    /// [`TextError`] with the line and column of what is wrong.
    pub fn parse(text: &str) -> Result<Sizes, TextError> {
        let mut points: Vec<(f64, f64)> = Vec::new();
        let whole = |message: &str| TextError { line: 0, column: 0, message: message.to_owned() };
        for (number, line) in text.lines().enumerate() {
            let line = words(line, number + 1);
            let [bytes, percent] = line.as_slice() else {
                if let Some(first) = line.first() {
                    return Err(TextError::at(first, "expected `BYTES PERCENT`"));
                }
                continue;
            };
            let size = bytes.number("the size")? as f64;
            let share = percent.text.parse::<f64>().ok().filter(|s| (0.0..=100.0).contains(s));
            let Some(share) = share else {
                let message = format!("the share is `{}`; expected 0 to 100", percent.text);
                return Err(TextError::at(percent, message));
            };
            let grows = points.last().is_none_or(|(b, s)| *b <= size && *s <= share / 100.0);
            if !grows {
                return Err(TextError::at(bytes, "sizes and shares must grow from line to line"));
            }
            if points.is_empty() && share > 0.0 {
                points.push((0.0, 0.0));
            }
            points.push((size, share / 100.0));
        }
        match points.last() {
            Some((bytes, 1.0)) if *bytes >= 1.0 => Ok(Sizes(points)),
            _ => Err(whole("the last line must have at least one byte and 100 percent")),
        }
    }

    /// Mean size in bytes.
    pub fn mean(&self) -> f64 {
        let parts = self.0.windows(2);
        parts.map(|pair| (pair[1].1 - pair[0].1) * (pair[0].0 + pair[1].0) / 2.0).sum()
    }

    /// The largest size, in bytes.
    pub fn largest(&self) -> u64 {
        self.0.last().map_or(0, |(bytes, _)| *bytes as u64)
    }

    /// The size at the share `at`, from 0 to 1.
    pub(crate) fn at(&self, at: f64) -> u64 {
        let next = self.0.iter().position(|(_, share)| *share >= at).unwrap_or(self.0.len() - 1);
        let (bytes, share) = self.0[next];
        let size = match next.checked_sub(1).map(|before| self.0[before]) {
            Some((below, from)) if share > from => {
                below + (bytes - below) * (at - from) / (share - from)
            }
            _ => bytes,
        };
        (size as u64).max(1)
    }
}

/// Arrivals.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Arrivals {
    /// Bandwidth asked for over that of the hosts' links.
    pub load: f64,
    /// Rate of a host's link.
    pub rate: Rate,
    /// Flows arrive from time zero up to this.
    pub duration: Span,
    /// Which draws.
    pub seed: u64,
}

/// Flows between random pairs of different hosts.
///
/// # Errors
/// A sentence, when there would be no flow or too many.
pub fn poisson(hosts: u32, sizes: &Sizes, arrivals: &Arrivals) -> Result<Matrix, String> {
    let Arrivals { load, rate, duration, seed } = *arrivals;
    let bits = sizes.mean() * 8.0;
    let flows_a_ps = load * rate.bits_per_second() as f64 * f64::from(hosts) / bits / 1e12;
    let expected = flows_a_ps * duration.0 as f64;
    if expected > MOST_FLOWS {
        return Err(format!(
            "about {expected:.0} flows would arrive; at most {MOST_FLOWS} are possible"
        ));
    }
    let mut numbers = SplitMix64::new(seed);
    let mut share = || (numbers.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
    let mut connections = Vec::new();
    let mut now = 0.0;
    loop {
        now += -ln(1.0 - share()) / flows_a_ps;
        if now >= duration.0 as f64 {
            break;
        }
        let src = (share() * f64::from(hosts)) as u32;
        let other = (share() * f64::from(hosts - 1)) as u32;
        let dst = if other < src { other } else { other + 1 };
        connections.push(Connection {
            id: connections.len() as u64 + 1,
            shares_id: false,
            src: HostId(src),
            dst: HostId(dst),
            bytes: sizes.at(share()),
            start: Start::At(Time(now as u64)),
            send_done: None,
            recv_done: None,
            line: 0,
        });
    }
    if connections.is_empty() {
        return Err(format!("no flow arrives within {duration}: {expected:.2} are expected"));
    }
    Ok(Matrix { nodes: hosts, connections, triggers: Vec::new(), failures: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Published distributions grow to 100 %, and have the means that are documented (their points' own, by trapezoids).
    #[test]
    fn published_distributions_have_their_means() {
        for (name, mean) in [
            ("websearch", 1_711_250.0),
            ("hadoop", 120_420.75),
            ("ali-storage", 40_869.8),
            ("google-rpc", 3_205.76),
        ] {
            let sizes = Sizes::published(name).unwrap();
            let grows = |pair: &[(f64, f64)]| pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1;
            assert!(sizes.0.windows(2).all(grows) && sizes.0.last().unwrap().1 == 1.0, "{name}");
            assert!((sizes.mean() / mean - 1.0).abs() < 1e-4, "{name}: {}", sizes.mean());
        }
        assert!(Sizes::published("other").is_none());
    }

    /// Sizes follow the distribution, arrivals the load: 1.7 MB on average for web search.
    #[test]
    fn load_and_sizes_are_as_asked() {
        let sizes = Sizes::websearch();
        assert!((sizes.mean() - 1.7e6).abs() < 0.1e6, "{}", sizes.mean());
        assert_eq!((sizes.at(0.15), sizes.at(0.65), sizes.at(1.0)), (10_000, 600_000, 30_000_000));
        let rate = Rate::from_gbps(100);
        let arrivals = Arrivals { load: 0.5, rate, duration: Span::from_millis(20), seed: 3 };
        let matrix = poisson(64, &sizes, &arrivals).unwrap();
        let bytes: u64 = matrix.connections.iter().map(|flow| flow.bytes).sum();
        let load = bytes as f64 * 8.0 / (0.02 * 64.0 * 100e9);
        assert!((load - 0.5).abs() < 0.03, "{load}");
        assert!(matrix.connections.iter().all(|flow| flow.src != flow.dst));
        let few = matrix.connections.iter().filter(|flow| flow.bytes <= 80_000).count();
        let share = few as f64 / matrix.connections.len() as f64;
        assert!((share - 0.53).abs() < 0.02, "{share}");
        assert_eq!(poisson(64, &sizes, &arrivals).unwrap(), matrix, "the seed decides");
    }

    /// A file of sizes is read; mistakes name their place.
    #[test]
    fn a_distribution_is_read() {
        let sizes = Sizes::parse("1000 50\n# half of them\n3000 100\n").unwrap();
        assert_eq!((sizes.mean(), sizes.at(0.25), sizes.at(0.75)), (1_250.0, 500, 2_000));
        assert_eq!(Sizes::fixed(77).at(0.4), 77);
        for (text, expected) in [
            ("1000 50\n500 100\n", "2:1: sizes and shares must grow"),
            ("1000 half\n", "1:6: the share is `half`; expected 0 to 100"),
            ("1000 50\n", "0:0: the last line must have"),
            ("1000\n", "1:1: expected `BYTES PERCENT`"),
        ] {
            let error = Sizes::parse(text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
