//! Verdicts as JUnit XML, which continuous integration shows as tests.

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

/// A test.
#[derive(Clone, PartialEq, Debug)]
pub struct Case {
    /// What it belongs to.
    pub group: String,
    /// What it says.
    pub name: String,
    /// Why it fails, if it does.
    pub failure: Option<String>,
    /// Seconds that it took.
    pub seconds: f64,
}

/// The tests as a suite.
///
/// # Panics
/// Never: memory takes every write.
pub fn xml(suite: &str, cases: &[Case]) -> String {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    let written = write(&mut writer, suite, cases);
    written.expect("memory takes every write");
    String::from_utf8(writer.into_inner()).expect("what is written is text") + "\n"
}

fn write(writer: &mut Writer<Vec<u8>>, suite: &str, cases: &[Case]) -> std::io::Result<()> {
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let failures = cases.iter().filter(|case| case.failure.is_some()).count();
    let seconds: f64 = cases.iter().map(|case| case.seconds).sum();
    let (count, failures, seconds) =
        (cases.len().to_string(), failures.to_string(), format!("{seconds:.3}"));
    let element = writer.create_element("testsuite").with_attributes([
        ("name", suite),
        ("tests", &count),
        ("failures", &failures),
        ("time", &seconds),
    ]);
    element
        .write_inner_content(|writer| cases.iter().try_for_each(|case| write_case(writer, case)))?;
    Ok(())
}

fn write_case(writer: &mut Writer<Vec<u8>>, case: &Case) -> std::io::Result<()> {
    let seconds = format!("{:.3}", case.seconds);
    let element = writer.create_element("testcase").with_attributes([
        ("classname", case.group.as_str()),
        ("name", &case.name),
        ("time", &seconds),
    ]);
    match &case.failure {
        None => element.write_empty()?,
        Some(failure) => element.write_inner_content(|writer| {
            let first = failure.lines().next().unwrap_or_default();
            let element = writer.create_element("failure").with_attribute(("message", first));
            element.write_text_content(BytesText::new(failure)).map(|_| ())
        })?,
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Failures have their reason, and signs that XML gives a meaning are escaped.
    #[test]
    fn failures_have_reasons() {
        let case = |name: &str, failure: Option<&str>| Case {
            group: "incast".into(),
            name: name.into(),
            failure: failure.map(str::to_owned),
            seconds: 0.5,
        };
        let text = xml("ultraloom", &[case("p99 < 5", None), case("ends", Some("late\nby 3 us"))]);
        assert!(
            text.contains(
                "<testsuite name=\"ultraloom\" tests=\"2\" failures=\"1\" time=\"1.000\">"
            ),
            "{text}"
        );
        assert!(text.contains("name=\"p99 &lt; 5\" time=\"0.500\"/>"), "{text}");
        assert!(text.contains("<failure message=\"late\">late\nby 3 us</failure>"), "{text}");
    }
}
