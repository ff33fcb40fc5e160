//! Rows of a journal that was damaged, or forged: whoever reads them says so and goes on.
//!
//! An input is the rows' bodies, one a line.

use std::process::ExitCode;

use gate::{Archive, CaseId, Journal};
use model::Moment;
use rusqlite::{Connection, params};

fn main() -> ExitCode {
    let folder = std::env::temp_dir().join(format!("lazaret-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    drop(Journal::open(&folder, 1000).expect("a journal"));
    let connection = Connection::open(folder.join("journal.db")).expect("a journal");
    connection.execute_batch("PRAGMA synchronous = OFF").expect("a pragma");
    let case = CaseId::of_number(1);
    let code = fuzz::fuzz("journal", |input| {
        let text = String::from_utf8_lossy(input);
        connection.execute("DELETE FROM journal", []).expect("an empty journal");
        for (number, body) in text.lines().enumerate() {
            let zero = "0".repeat(64);
            let row = params![number as i64 + 1, 1_000, case.as_str(), "case", body, zero, zero];
            let insert =
                "INSERT INTO journal (seq, at, case_id, kind, body, prev, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
            connection.execute(insert, row).expect("a row");
        }
        let archive = Archive::open(&folder).expect("an archive");
        let latest = archive.latest(10).map(|latest| latest.len()).map_err(|error| error.to_string());
        let pending = archive.pending(Moment(2_000)).map(|pending| pending.len()).map_err(|error| error.to_string());
        let story = archive.story(&case).map(|story| story.map(|story| story.to_string()));
        let mut exported = Vec::new();
        let _ = archive.export(&mut exported);
        if !text.trim().is_empty() {
            assert!(archive.verify().is_err(), "rows that nobody wrote are taken for whole");
        }
        let told = story.map(|story| story.unwrap_or_default()).unwrap_or_else(|error| error.to_string());
        // What an agent wrote must not steer a terminal.
        assert!(!told.chars().any(|letter| letter.is_control() && letter != '\n'), "{told:?}");
        format!("{latest:?} {pending:?} {}", told.lines().count().min(9))
    });
    let _ = std::fs::remove_dir_all(folder);
    code
}
