//! Programs that tests start on hosts: the test binary itself, in another namespace, running its test `tool`, which does what
//! [`WHAT`] says and prints one line that begins with [`SAYS`].

#![allow(clippy::disallowed_methods, reason = "programs on real hosts go by the clock")]

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::process::Output;
use std::time::{Duration, Instant};

use super::damage;

/// The environment's variable with the program and its arguments.
pub(crate) const WHAT: &str = "ULTRALOOM_TEST_TOOL";
/// What a program says begins so.
const SAYS: &str = "tool says: ";
/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a program said, or all that it printed if it failed.
pub(crate) fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.split_once(SAYS));
    line.map_or_else(
        || format!("{text}{}", String::from_utf8_lossy(&output.stderr)),
        |(_, told)| told.to_owned(),
    )
}

/// Runs the program that the environment names, if it names one.
pub(crate) fn run() {
    let Ok(what) = std::env::var(WHAT) else { return };
    let words: Vec<&str> = what.split(' ').collect();
    let number = |place: usize| words[place].parse::<u64>().expect("a number");
    let told = match words[0] {
        "echo" => echo(words[1], number(2) as usize),
        "characters" => characters(words[1], number(2) as usize),
        "discard" => discard(words[1], number(2) as usize),
        "datagrams" => datagrams(words[1], number(2)),
        "refused" => TcpStream::connect(words[1]).expect_err("nobody listens").kind().to_string(),
        "send" => send(words[1], number(2) as u16, number(3), Duration::from_micros(number(4))),
        "receive" => receive(number(1)),
        "damage" => damage::send(words[1], number(2), number(3), &hosts(&words[4..])),
        other => panic!("there is no program {other}"),
    };
    println!("{SAYS}{told}");
}

fn hosts(words: &[&str]) -> Vec<u32> {
    words.iter().map(|word| word.parse().expect("a number")).collect()
}

fn connect(to: &str) -> TcpStream {
    let to: SocketAddr = to.parse().expect("an address");
    let stream = TcpStream::connect_timeout(&to, PATIENCE).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// Bytes without a pattern.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    (0..count).map(|_| next()).collect()
}

/// Sends bytes to an echo service and reads them back until it closes.
fn echo(to: &str, count: usize) -> String {
    let stream = connect(to);
    let bytes = noise(count);
    let mut back = Vec::new();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            (&stream).write_all(&bytes).expect("it takes them");
            stream.shutdown(Shutdown::Write).expect("it ends");
        });
        (&stream).read_to_end(&mut back).expect("it answers, and closes");
        writer.join().expect("all is written");
    });
    if back == bytes { "the same".to_owned() } else { format!("{} of {count} B", back.len()) }
}

/// Reads so many bytes of a stream of characters, and says how it begins and how many lines there are.
fn characters(to: &str, count: usize) -> String {
    let mut bytes = vec![0; count];
    connect(to).read_exact(&mut bytes).expect("characters come");
    let text = String::from_utf8(bytes).expect("characters");
    let right = text.split("\r\n").filter(|line| line.len() == 72).count();
    format!("{right} lines, {}", &text[..4])
}

/// Sends bytes to a service that throws them away, and waits until it closes.
fn discard(to: &str, count: usize) -> String {
    let mut stream = connect(to);
    stream.write_all(&noise(count)).expect("it takes them");
    stream.shutdown(Shutdown::Write).expect("it ends");
    let back = stream.read_to_end(&mut Vec::new()).expect("it closes");
    format!("{back} B came back")
}

/// Sends datagrams to an echo service one by one; how many come back.
fn datagrams(to: &str, count: u64) -> String {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(2))).expect("a timeout");
    socket.connect(to).expect("an address");
    let mut buffer = [0; 2_000];
    let came = (0..count).filter(|number| {
        let bytes = [&number.to_le_bytes()[..], &noise(500)].concat();
        socket.send(&bytes).is_ok()
            && socket.recv(&mut buffer).is_ok_and(|length| buffer[..length] == bytes)
    });
    format!("{} came back", came.count())
}

/// Sends a numbered datagram to each of eight ports from `port` on, so many times, with so much time in between.
fn send(to: &str, port: u16, count: u64, interval: Duration) -> String {
    let socket = UdpSocket::bind("0.0.0.0:4000").expect("a socket");
    let start = Instant::now();
    for number in 0..count {
        let due = start + interval * number as u32;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        for port in port..port + 8 {
            let _ = socket.send_to(&number.to_le_bytes(), (to, port));
        }
    }
    format!("{count} sent")
}

/// Receives such datagrams until none comes for two seconds: for each port how many came, and the longest time in microseconds in
/// which none did.
fn receive(port: u64) -> String {
    let listen = |port: u16| {
        let socket = UdpSocket::bind(("0.0.0.0", port)).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut buffer = [0; 64];
        let (mut last, mut count, mut gap) = (None, 0, Duration::ZERO);
        while socket.recv(&mut buffer).is_ok() {
            let now = Instant::now();
            gap = gap.max(last.map_or(Duration::ZERO, |last| now - last));
            (last, count) = (Some(now), count + 1);
            socket.set_read_timeout(Some(Duration::from_secs(2))).expect("a timeout");
        }
        (count, gap)
    };
    let first = port as u16;
    let ports: BTreeMap<u16, (u32, Duration)> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (first..first + 8).map(|port| (port, scope.spawn(move || listen(port)))).collect();
        threads.into_iter().map(|(port, thread)| (port, thread.join().expect("it ends"))).collect()
    });
    let words: Vec<String> =
        ports.values().map(|(count, gap)| format!("{count}:{}", gap.as_micros())).collect();
    words.join(" ")
}
