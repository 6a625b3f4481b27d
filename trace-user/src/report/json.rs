//! JSON, readable or in one line, and safe to print on a terminal.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter, PrettyFormatter};

use super::sanitize::is_hostile;

/// `document`, a report or what another command has to say, as indented JSON.
///
/// # Errors
/// None of these documents' values can fail.
pub fn render(document: &impl Serialize) -> serde_json::Result<String> {
    write(document, PrettyFormatter::new())
}

/// `document` as one line of JSON.
///
/// # Errors
/// As [`render`].
pub fn line(document: &impl Serialize) -> serde_json::Result<String> {
    write(document, CompactFormatter)
}

fn write(document: &impl Serialize, formatter: impl Formatter) -> serde_json::Result<String> {
    let mut bytes = Vec::new();
    document.serialize(&mut Serializer::with_formatter(&mut bytes, Escaping(formatter)))?;
    bytes.push(b'\n');
    String::from_utf8(bytes).map_err(|e| serde::ser::Error::custom(e.utf8_error()))
}

/// Escapes (`\uXXXX`, so that nothing is lost) what a terminal would obey beyond what JSON itself demands: DEL,
/// C1 controls, bidirectional marks.
struct Escaping<F>(F);

macro_rules! delegate {
    ($($name:ident($($arg:ident: $type:ty),*);)*) => {
        $(fn $name<W: ?Sized + Write>(&mut self, writer: &mut W $(, $arg: $type)*) -> io::Result<()> {
            self.0.$name(writer $(, $arg)*)
        })*
    };
}

impl<F: Formatter> Formatter for Escaping<F> {
    delegate! {
        begin_array();
        end_array();
        begin_array_value(first: bool);
        end_array_value();
        begin_object();
        end_object();
        begin_object_key(first: bool);
        begin_object_value();
        end_object_value();
        write_char_escape(escape: CharEscape);
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, text: &str) -> io::Result<()> {
        // All names of fields, and most of the rest: a report of 10,000 threads has 1.6 million strings.
        if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return writer.write_all(text.as_bytes());
        }
        let mut rest = text;
        while let Some((at, hostile)) = rest.char_indices().find(|(_, c)| is_hostile(*c)) {
            writer.write_all(&rest.as_bytes()[..at])?;
            for unit in hostile.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = &rest[at + hostile.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::schema::Report;
    use super::super::{build, sample};
    use super::*;
    use trace_common::account::Account;

    fn report() -> Value {
        let mut snapshot = sample::snapshot(2);
        snapshot.threads[1].alive = false;
        snapshot.threads[0].comm = "\x1b\u{202e}\u{9b}".into();
        let text = render(&build::build(&snapshot, &sample::verdicts(&snapshot))).expect("JSON");
        assert!(!text.chars().any(|c| c != '\n' && is_hostile(c)), "{text}");
        serde_json::from_str(&text).expect("valid JSON")
    }

    fn keys(value: &Value) -> Vec<&str> {
        value.as_object().map(|o| o.keys().map(String::as_str).collect()).unwrap_or_default()
    }

    /// The contract of DESIGN §7: every key is there, whatever its value.
    #[test]
    fn every_key_of_the_contract_is_present() {
        let contract = [
            (
                "",
                "schema_version tool host window target verdict processes peers turns distributions findings \
                  blind_spots loss calibration cost",
            ),
            ("/tool", "name version tier object_sha256"),
            ("/host", "kernel arch"),
            ("/window", "started_at duration_ns ended_by steal_ns"),
            ("/target", "pids comm exe processes threads"),
            (
                "/verdict/io_model",
                "name caller callee mechanism qualifier shares confidence alternatives \
                                   evidence upstream",
            ),
            ("/verdict/io_model/evidence/0", "code text measured threshold kind for"),
            ("/verdict/server_model", "name qualifier units count confidence alternatives evidence"),
            ("/processes/0", "pid comm io_model server_model exited threads"),
            ("/processes/0/exited", "threads ledger receives"),
            (
                "/processes/0/threads/0",
                "tid comm role io_model lived_ns check ledger wait_data_by_side receives \
                                        accepts in_flight",
            ),
            ("/processes/0/threads/0/check", "run_ns delay_ns"),
            ("/processes/0/threads/0/wait_data_by_side", "server_ns client_ns local_ns other_ns"),
            (
                "/processes/0/threads/0/receives",
                "calls with_data eof eagain interrupted failed bytes slept \
                after_ready polled signalled completed immediate copy_bounded zero_copy",
            ),
            ("/processes/0/threads/0/accepts", "calls accepted eagain slept"),
            ("/processes/0/threads/0/in_flight", "syscall account since_ns before_attach"),
            ("/peers/0", "side address connections waits wait_ns receives bytes"),
            ("/turns", "count receive_ns build_ns send_ns service_p50_ns service_p99_ns"),
            (
                "/loss",
                "exit_without_enter enter_without_exit clock_backwards slots_exhausted map_full ring_full \
                       recursion_missed compat_calls torn_reads \
                       user_faults threads_missed completed_unmatched \
                       generation_dropped lost_wakeups",
            ),
            ("/cost", "bpf_run_ns events cpu_share map_bytes"),
        ];
        let report = report();
        for (at, names) in contract {
            let object = report.pointer(at).unwrap_or(&Value::Null);
            for name in names.split_whitespace() {
                assert!(object.get(name).is_some(), "{at}/{name} is missing: {object}");
            }
        }
    }

    #[test]
    fn a_ledger_has_all_accounts_in_order_and_adds_up() {
        let report = report();
        let thread = &report["processes"][0]["threads"][0];
        let text = render(&build_one()).expect("JSON");
        let mut at = 0;
        for account in Account::ALL {
            let key = format!("\"{}_ns\":", account.name());
            at += text[at..].find(&key).unwrap_or_else(|| panic!("{key} after byte {at}"));
        }
        assert_eq!(keys(&thread["ledger"]).len(), Account::COUNT);
        let sum: u64 =
            thread["ledger"].as_object().into_iter().flatten().filter_map(|(_, ns)| ns.as_u64()).sum();
        assert_eq!(Some(sum), thread["lived_ns"].as_u64());
    }

    fn build_one() -> Report {
        let snapshot = sample::snapshot(1);
        build::build(&snapshot, &sample::verdicts(&snapshot))
    }

    #[test]
    fn ended_threads_are_summed_up_and_what_was_not_measured_is_null() {
        let report = report();
        assert_eq!(report["target"]["threads"], 2);
        assert_eq!(report["processes"][0]["threads"].as_array().map(Vec::len), Some(1));
        assert_eq!(report["processes"][0]["exited"]["threads"], 1);
        assert_eq!(report["processes"][0]["exited"]["receives"]["calls"], 1000);
        assert_eq!(report["turns"]["count"], Value::Null);
        assert_eq!(report["processes"][0]["threads"][0]["comm"], "\u{1b}\u{202e}\u{9b}");
    }

    #[test]
    fn peers_are_hosts_on_the_server_side_and_services_on_the_client_side() {
        let report = report();
        let peers: Vec<(&str, &str, u64)> = report["peers"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|p| {
                let text = |key: &str| p[key].as_str().unwrap_or_default();
                (text("side"), text("address"), p["connections"].as_u64().unwrap_or(0))
            })
            .collect();
        assert_eq!(peers, [("server", "10.0.0.1", 2), ("client", "10.0.0.1:50002", 1)]);
    }

    #[test]
    fn a_report_can_be_read_again() {
        let first = render(&build_one()).expect("JSON");
        let again: Report = serde_json::from_str(&first).expect("the report");
        assert_eq!(render(&again).expect("JSON"), first);
    }
}
