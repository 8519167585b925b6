//! `ultraloom live --control`: sessions that are looked at and changed over HTTP while they run.

mod control;
mod lab;
mod place;

use std::collections::BTreeSet;
use std::time::Duration;

use control::{Session, TOKEN, eventually};
use lab::{alone, can_run};
use place::Place;
use serde_json::{Value, json};

/// Eight simulated hosts on four leaves and two spines, which send to each other as long as anybody looks; nothing is attached, so
/// it runs anywhere. The second variant differs in what is sent.
const SIMULATED: &str = "name = \"simulated\"\n[topology]\nkind = \"leaf-spine\"\nhosts = 8\nhosts_per_leaf = 2\n\
    spines = 2\nlink_rate = \"1 Gb/s\"\nlink_delay = \"20 us\"\n[live]\ndilation = 10\n[workload]\n\
    kind = \"poisson\"\nsizes = \"google-rpc\"\nload = 0.1\nduration = \"20 s\"\n[variants.first]\n\
    [variants.second]\nworkload.load = 0.2\n";

fn field(link: &Value, way: &str, name: &str) -> f64 {
    link[way][name].as_f64().unwrap_or_else(|| panic!("{way}.{name} of {link}"))
}

/// Whoever has the token changes links, injects faults, pauses and stops; what a snapshot says follows. The journal of all that, run
/// again offline, gives the same digest, of the variant that was run.
#[test]
fn sessions_are_changed_while_they_run() {
    let _alone = alone();
    let mut session =
        Session::start("changed", SIMULATED, &["--journal", "journal", "--variant", "second"]);
    let id = session.link("leaf:0", "spine:1");
    let link = format!("links/{id}");
    let change = |body: Value| {
        let (status, answer) = session.post(&link, &body.to_string());
        assert_eq!((status, &answer["done"]), (200, &Value::Bool(true)), "{body}: {answer}");
    };
    let becomes = |what: &str, is: &dyn Fn(&Value) -> bool| {
        eventually(what, || Some(session.get(&link).1).filter(is));
    };
    change(json!({ "rate": "250 Mb/s", "delay": "60 us", "loss": 0.5 }));
    becomes("a quarter of the rate", &|link| {
        (field(link, "up", "rate_bps") / 250e6 - 1.0).abs() < 1e-4 && link["delay_us"] == 60.0
    });
    becomes("losses", &|link| field(link, "up", "dropped") > 0.0);
    change(json!({ "delay": "30 us", "loss": 0, "direction": "both" }));
    change(json!({ "down": true, "direction": "up" }));
    becomes("down in one direction", &|link| {
        link["up"]["down"] == true && link["down"]["down"] == false
    });
    change(json!({ "down": false }));
    let fault = json!({ "kind": "switch-down", "switch": "spine:0", "until": "40 ms" });
    assert_eq!(session.post("faults", &fault.to_string()).0, 200);
    let down = |count: u64| {
        eventually("so many links down", || {
            (session.get("status").1["links_down"] == count).then_some(())
        });
    };
    down(4);
    down(0);
    assert_eq!(session.post("pause", "").0, 200);
    let paused = || session.get("status").1;
    eventually("a pause", || (paused()["state"] == "paused").then_some(()));
    let before = paused();
    std::thread::sleep(Duration::from_millis(1_500));
    let after = paused();
    assert_eq!(before["emulated_us"], after["emulated_us"], "emulated time stands still");
    assert!(after["wall_s"].as_f64() > before["wall_s"].as_f64(), "and the clock does not");
    assert_eq!(session.post("pause", "").0, 409);
    assert_eq!(session.post("resume", "").0, 200);
    eventually("it goes on", || {
        (paused()["emulated_us"].as_f64() > after["emulated_us"].as_f64()).then_some(())
    });
    assert!(
        paused()["emulated_us"].as_f64() < after["emulated_us"].as_f64().map(|us| us + 120_000.0),
        "it does not make up for the pause"
    );
    assert_eq!(session.post("resume", "").0, 409);
    let recent = paused()["recent"].to_string();
    for what in ["250 Mb/s", "delay 60 us", "loses 50 %", "spine:0: down", "spine:0: up, in 40 ms"]
    {
        assert!(recent.contains(what), "{what} in {recent}");
    }
    assert_eq!(session.post("stop", "").0, 200);
    let (code, told) = session.wait();
    assert_eq!(code, Some(0), "{told}");
    let replayed = session.replay();
    assert_eq!((&replayed["same"], &replayed["digest"]), (&Value::Bool(true), &told["digest"]));
}

/// Without the token nothing changes; what is wrong is said with its field; a page of another site is not answered.
#[test]
fn wrong_requests_are_refused() {
    let _alone = alone();
    let mut session = Session::start("refused", SIMULATED, &[]);
    let changes = ["links/0", "faults", "pause", "resume", "stop"];
    let tokens = [
        "X: y",
        "Authorization: Bearer wrong",
        "Authorization: Bearer ",
        "Authorization: Basic YTpi",
    ];
    for (path, token) in changes.iter().flat_map(|path| tokens.map(|token| (path, token))) {
        let (status, answer) =
            session.ask("POST", &format!("/api/v1/{path}"), &[token], "{\"down\": true}");
        assert_eq!(status, 401, "{path}, {token}: {answer}");
        assert!(answer["error"]["message"].as_str().is_some_and(|text| text.contains("token")));
    }
    let status = session.get("status").1;
    assert_eq!((&status["changes"], &status["state"]), (&json!(0), &json!("running")));
    for (path, body, code, field) in [
        ("links/0", "{\"rate\": \"9 Gb/s\"}", 400, "rate"),
        ("links/0", "{\"rate\": 7}", 400, "rate"),
        ("links/0", "{\"delay\": \"1 us\"}", 400, "delay"),
        ("links/0", "{\"loss\": 2}", 400, "loss"),
        ("links/0", "{\"speed\": 2}", 400, "speed"),
        ("links/0", "{}", 400, ""),
        ("links/0", "[]", 400, ""),
        ("links/0", "no JSON", 400, ""),
        ("links/99", "{\"down\": true}", 404, ""),
        ("links/x", "{\"down\": true}", 404, ""),
        ("faults", "{\"kind\": \"flood\"}", 400, "kind"),
        ("faults", "{\"kind\": \"link-down\", \"link\": [\"leaf:0\", \"leaf:1\"]}", 400, ""),
        ("nothing", "{}", 404, ""),
    ] {
        let (status, answer) = session.post(path, body);
        assert_eq!(status, code, "{path} {body}: {answer}");
        assert!(answer["error"]["message"].is_string(), "{path} {body}: {answer}");
        if !field.is_empty() {
            assert_eq!(answer["error"]["field"], field, "{answer}");
            assert!(!answer["error"]["value"].is_null(), "{answer}");
        }
    }
    let shortest = session.post("links/0", "{\"delay\": \"1 us\"}").1;
    assert_eq!(shortest["error"]["allowed"], "20 us or more");
    assert_eq!(session.get("links/99").0, 404);
    assert_eq!(session.ask("DELETE", "/api/v1/status", &[], "").0, 405);
    assert_eq!(session.ask("GET", "/api/v1/status", &["Host: evil.example"], "").0, 403);
    let long = format!("{{\"rate\": \"{}\"}}", "9".repeat(100_000));
    assert_eq!(session.post("links/0", &long).0, 413, "bodies are bounded");
    assert_eq!(session.get("status").1["changes"], 0, "nothing of that has changed anything");
    assert_eq!(session.post("stop", "").0, 200);
    assert_eq!(session.wait().0, Some(0));
}

/// Every request of the document is answered as it says, and it has every request that there is. Metrics are in their format, and the
/// page asks nothing of anywhere else.
#[test]
fn the_document_is_true() {
    let _alone = alone();
    let mut session = Session::start("document", SIMULATED, &[]);
    let document = session.get("openapi.json").1;
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
    let paths = document["paths"].as_object().expect("paths");
    let expected = [
        "/",
        "/page.css",
        "/page.js",
        "/metrics",
        "/api/v1/status",
        "/api/v1/counters",
        "/api/v1/topology",
        "/api/v1/links",
        "/api/v1/links/{id}",
        "/api/v1/faults",
        "/api/v1/pause",
        "/api/v1/resume",
        "/api/v1/stop",
        "/api/v1/openapi.json",
    ];
    let known: BTreeSet<&str> = paths.keys().map(String::as_str).collect();
    assert_eq!(known, BTreeSet::from(expected));
    for (path, methods) in paths {
        let own = path.replace("{id}", "0");
        for method in methods.as_object().expect("methods").keys() {
            let (status, text) = session.raw(&method.to_uppercase(), &own, &[], "");
            // What changes something wants a token, and says so in the document.
            let guarded = !methods[method]["security"].is_null();
            assert_eq!(status, if guarded { 401 } else { 200 }, "{method} {path}: {text}");
            assert_eq!(guarded, method == "post", "{method} {path}");
            assert!(!methods[method]["responses"][status.to_string()].is_null(), "{method} {path}");
        }
    }
    // What is shown has the fields that its schema has.
    for (what, schema) in [
        ("status", "Status"),
        ("counters", "Counters"),
        ("topology", "Topology"),
        ("links/0", "LinkNow"),
    ] {
        let properties = &document["components"]["schemas"][schema]["properties"];
        let schema: BTreeSet<&String> =
            properties.as_object().expect("properties").keys().collect();
        let shown = session.get(what).1;
        assert_eq!(
            shown.as_object().expect("an object").keys().collect::<BTreeSet<_>>(),
            schema,
            "{what}"
        );
    }
    let (_, metrics) = session.raw("GET", "/metrics", &[], "");
    for part in
        ["# TYPE ultraloom_live_port_bytes counter", "ultraloom_live_port_queue_bytes{", "# EOF"]
    {
        assert!(metrics.contains(part), "{part} in {metrics}");
    }
    for path in ["/", "/page.css", "/page.js"] {
        let (_, text) = session.raw("GET", path, &[], "");
        let outside = text.replace("http://www.w3.org/2000/svg", "");
        assert!(!outside.contains("http://") && !outside.contains("https://"), "{path}");
    }
    session.post("stop", "");
    assert_eq!(session.wait().0, Some(0));
}

/// Two real hosts on different leaves; switches know of dead links after 50 ms.
const LAB: &str = "name = \"lab\"\n[topology]\nkind = \"leaf-spine\"\nhosts = 8\nhosts_per_leaf = 2\nspines = 2\n\
    link_rate = \"100 Mb/s\"\nlink_delay = \"100 us\"\n[topology.routing]\nconvergence = \"50 ms\"\n[live]\n\
    tolerance = \"500 ms\"\n[[host]]\nnumber = [0, 7]\nattach = \"veth\"\n";

/// Whether one ping of host 7 from host 0 is answered.
fn pings(session: &Session) -> bool {
    let mut ping = session.on(0, &["ping", "-c", "1", "-W", "1", "10.0.0.8"]);
    ping.output().expect("ip starts").status.success()
}

/// A dead spine is routed around within the convergence time, a dead host link is not; losses, pauses and ends are as they were asked for.
/// All of it, frames and changes, run again from the journal, gives the same digest.
#[test]
fn real_hosts_see_what_changes() {
    if !can_run(&["ping"]) {
        return;
    }
    let _alone = alone();
    let mut session = Session::start("hosts", LAB, &["--journal", "journal"]);
    eventually("a ping", || pings(&session).then_some(()));
    let down = |a: &str, b: &str, down: bool| {
        let link = format!("links/{}", session.link(a, b));
        assert_eq!(session.post(&link, &json!({ "down": down }).to_string()).0, 200);
    };
    // Whichever spine the ping takes, it finds the other one.
    for spine in ["spine:0", "spine:1"] {
        down("leaf:0", spine, true);
        std::thread::sleep(Duration::from_millis(300));
        assert!(pings(&session), "around {spine}");
        assert_eq!(session.get("status").1["links_down"], 1);
        down("leaf:0", spine, false);
        std::thread::sleep(Duration::from_millis(300));
    }
    down("host:0", "leaf:0", true);
    assert!(!pings(&session), "there is no way around its own link");
    down("host:0", "leaf:0", false);
    eventually("a ping", || pings(&session).then_some(()));
    let link = format!("links/{}", session.link("host:7", "leaf:3"));
    assert_eq!(session.post(&link, "{\"loss\": 1}").0, 200);
    assert!(!pings(&session), "all is lost");
    assert_eq!(
        session.post(&link, "{\"loss\": 0, \"rate\": \"1 Mb/s\", \"delay\": \"20 ms\"}").0,
        200
    );
    eventually("a ping", || pings(&session).then_some(()));
    assert_eq!(session.post("pause", "").0, 200);
    assert!(!pings(&session), "nothing moves");
    let counters = || session.get("counters").1;
    assert!(counters()["frames"]["dropped_paused"].as_u64() > Some(0), "{}", counters());
    assert_eq!(session.post("resume", "").0, 200);
    eventually("a ping", || pings(&session).then_some(()));
    let hosts = counters()["hosts"].clone();
    assert!(
        hosts[0]["sent_frames"].as_u64() > Some(5)
            && hosts[1]["received_frames"].as_u64() > Some(5),
        "{hosts}"
    );
    assert_eq!(session.post("stop", "").0, 200);
    let (code, told) = session.wait();
    assert_eq!((code, &told["valid"]), (Some(0), &Value::Bool(true)), "{told}");
    assert!(!session.has_namespaces(), "it has cleaned up");
    let replayed = session.replay();
    assert_eq!((&replayed["same"], &replayed["digest"]), (&Value::Bool(true), &told["digest"]));
}

/// Addresses, tokens and terminals that are none are refused before anything is made; an address that is taken is said to be.
#[test]
fn what_cannot_be_served_is_refused() {
    let place = Place::new("not-served");
    place.file("lab.toml", SIMULATED);
    let refused = |arguments: &[&str]| place.refused(&[&["live", "lab.toml"], arguments].concat());
    assert!(refused(&[]).contains("attaches no host"), "it has to be looked at");
    assert!(refused(&["--control", "nowhere"]).contains("nowhere"));
    assert!(refused(&["--control", "--token", "short"]).contains("8 to 128"));
    assert!(refused(&["--token", TOKEN]).contains("--control"));
    assert!(refused(&["--tui"]).contains("needs a terminal"));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    assert!(refused(&["--control", &address]).contains(&format!("cannot serve at {address}")));
}
