//! The reference simulator's command line, as far as its published results use it.

use crate::validate::rows;

/// Frame of a full packet: what its flags count queues, marks and windows in.
const PACKET: u64 = 4_150;
/// What is left of a failed link's rate.
const FAILED: f64 = 0.25;

/// Flags with their values.
#[derive(Clone, PartialEq, Debug)]
pub struct Flags {
    /// `-tm`: the matrix.
    pub matrix: String,
    /// `-topo`: a topology file; a fat tree of the matrix's hosts without.
    pub topology: Option<String>,
    /// `-linkspeed`, Mb/s.
    pub megabits: f64,
    /// `-nodes`.
    pub hosts: Option<u32>,
    /// `-sender_cc`, `-sender_cc_only`; on unless `-receiver_cc_only`.
    pub sender: bool,
    /// `-receiver_cc`, `-receiver_cc_only`.
    pub receiver: bool,
    /// `-load_balancing_algo`.
    pub spraying: String,
    /// `-paths`: number of entropy values; one: a single path.
    pub paths: u32,
    /// `-q`, packets.
    pub queue: Option<u64>,
    /// `-ecn`, packets.
    pub ecn: Option<(u64, u64)>,
    /// `-cwnd`: the window to begin with, packets.
    pub window: Option<u64>,
    /// `-sack_threshold`, bytes.
    pub ack_trigger: Option<u64>,
    /// `-failed`: core links that run at a quarter.
    pub failed: u32,
    /// `-conn_reuse`.
    pub reuse: bool,
    /// `-end`, us.
    pub end: u64,
}

impl Flags {
    /// Reads a command line, the program's name first.
    ///
    /// # Errors
    /// A sentence that names the first flag that is not known, or lacks its value.
    pub fn parse(line: &str) -> Result<Flags, String> {
        let mut flags = Flags {
            matrix: String::new(),
            topology: None,
            megabits: 100_000.0,
            hosts: None,
            sender: true,
            receiver: false,
            spraying: "mixed".to_owned(),
            paths: 64,
            queue: None,
            ecn: None,
            window: None,
            ack_trigger: None,
            failed: 0,
            reuse: false,
            end: 1_000,
        };
        let mut words = line.split_whitespace().skip(1);
        while let Some(flag) = words.next() {
            flags.read(flag, &mut words)?;
        }
        if flags.matrix.is_empty() {
            return Err(format!("`{line}` has no -tm"));
        }
        Ok(flags)
    }

    fn read<'a>(
        &mut self,
        flag: &str,
        words: &mut impl Iterator<Item = &'a str>,
    ) -> Result<(), String> {
        let mut text = || words.next().ok_or_else(|| format!("`{flag}` has no value"));
        fn number<T: std::str::FromStr>(flag: &str, text: &str) -> Result<T, String> {
            text.parse().map_err(|_| format!("`{flag} {text}` is no number that it can have"))
        }
        match flag {
            "-tm" => self.matrix = text()?.to_owned(),
            "-topo" => self.topology = Some(text()?.to_owned()),
            "-linkspeed" => self.megabits = number(flag, text()?)?,
            "-nodes" => self.hosts = Some(number(flag, text()?)?),
            "-sender_cc" => self.sender = true,
            "-receiver_cc" => self.receiver = true,
            "-sender_cc_only" => (self.sender, self.receiver) = (true, false),
            "-receiver_cc_only" => (self.sender, self.receiver) = (false, true),
            "-load_balancing_algo" => self.spraying = text()?.to_owned(),
            "-paths" => self.paths = number(flag, text()?)?,
            "-q" => self.queue = Some(number(flag, text()?)?),
            "-ecn" => self.ecn = Some((number(flag, text()?)?, number(flag, text()?)?)),
            "-cwnd" => self.window = Some(number(flag, text()?)?),
            "-sack_threshold" => self.ack_trigger = Some(number(flag, text()?)?),
            "-failed" => self.failed = number(flag, text()?)?,
            "-conn_reuse" => self.reuse = true,
            "-end" => self.end = number(flag, text()?)?,
            other => return Err(format!("the flag `{other}` is not known here")),
        }
        Ok(())
    }

    /// The same as a scenario.
    pub fn scenario(&self) -> String {
        let mut text =
            format!("profile = \"htsim\"\nrun.until = \"{} us\"\n[topology]\n", self.end);
        match (&self.topology, self.hosts) {
            (Some(file), _) => text += &format!("kind = \"file\"\nfile = {file:?}\n"),
            (None, Some(hosts)) => text += &format!("hosts = {hosts}\n"),
            (None, None) => {}
        }
        if self.topology.is_none() {
            text += &format!("link_rate = \"{} Mb/s\"\n", self.megabits);
        }
        text += &self.transport();
        text += "[switch]\n";
        if let Some(packets) = self.queue {
            text += &format!("queue = {}\n", packets * PACKET);
        }
        if let Some((low, high)) = self.ecn {
            text += &format!("ecn_kmin = {}\necn_kmax = {}\n", low * PACKET, high * PACKET);
        }
        text += &format!("[workload]\nkind = \"matrix\"\nfile = {:?}\n", self.matrix);
        if self.failed > 0 {
            text += &rows::degrade(self.failed, FAILED);
        }
        text
    }

    fn transport(&self) -> String {
        let congestion = match (self.sender, self.receiver) {
            (true, false) => "nscc",
            (false, true) => "rccc",
            (true, true) => "nscc+rccc",
            (false, false) => "none",
        };
        let mut text = format!("[transport]\ncongestion = {congestion:?}\n");
        match self.paths {
            1 => text += "spraying = \"ecmp\"\n",
            paths => {
                text += &format!("spraying = {:?}\nentropy_values = {paths}\n", self.spraying);
            }
        }
        if let Some(packets) = self.window {
            text += &format!("initial_window = {}\n", packets * PACKET);
        }
        if let Some(bytes) = self.ack_trigger {
            text += &format!("ack_trigger = {bytes}\n");
        }
        if self.reuse {
            text += "pdc_scope = \"destination\"\n";
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every flag that published results use becomes its key.
    #[test]
    fn flags_become_keys() {
        let line = "./htsim_uec -tm m.cm -nodes 16 -linkspeed 200000 -receiver_cc_only -paths 32 \
            -load_balancing_algo reps -q 50 -ecn 12 37 -cwnd 75 -sack_threshold 4000 -failed 8 \
            -conn_reuse -end 3000";
        let text = Flags::parse(line).unwrap().scenario();
        for key in [
            "run.until = \"3000 us\"",
            "hosts = 16",
            "link_rate = \"200000 Mb/s\"",
            "congestion = \"rccc\"",
            "spraying = \"reps\"",
            "entropy_values = 32",
            "queue = 207500",
            "ecn_kmin = 49800",
            "ecn_kmax = 153550",
            "initial_window = 311250",
            "ack_trigger = 4000",
            "pdc_scope = \"destination\"",
            "file = \"m.cm\"",
            "count = 8\nratio = 0.25",
        ] {
            assert!(text.contains(&format!("{key}\n")), "{key} in {text}");
        }
    }

    /// Without flags: NSCC, mixed spraying over 64 values, at 100 Gb/s; a topology file has its own rate.
    #[test]
    fn defaults_are_the_reference_ones() {
        let text = Flags::parse("x -tm m.cm").unwrap().scenario();
        for key in
            ["congestion = \"nscc\"", "spraying = \"mixed\"", "entropy_values = 64", "100000 Mb/s"]
        {
            assert!(text.contains(key), "{key} in {text}");
        }
        let text =
            Flags::parse("x -tm m.cm -topo t.topo -sender_cc -receiver_cc").unwrap().scenario();
        assert!(text.contains("kind = \"file\"\nfile = \"t.topo\"") && !text.contains("link_rate"));
        assert!(text.contains("congestion = \"nscc+rccc\""));
        assert!(Flags::parse("x -tm m.cm -paths 1").unwrap().scenario().contains("\"ecmp\""));
    }

    /// A flag that is not known, or has no or a wrong value, is named.
    #[test]
    fn wrong_flags_are_named() {
        for (line, message) in [
            ("x -tm m.cm -sleek", "the flag `-sleek` is not known here"),
            ("x -tm", "`-tm` has no value"),
            ("x -tm m.cm -q many", "`-q many` is no number that it can have"),
            ("x -q 4", "`x -q 4` has no -tm"),
        ] {
            assert_eq!(Flags::parse(line).unwrap_err(), message);
        }
    }
}
