//! Tables for the small shell: a script in, what was printed and when it ended out.

use super::*;

fn done(text: &str, done: &Done, until: u64) -> Played {
    let env = BTreeMap::from([("NAME".to_owned(), "ada".to_owned()), ("EMPTY".to_owned(), String::new())]);
    Script::parse(text).play(&env, Files::new(), done, Duration::from_secs(until))
}

fn played(text: &str, until: u64) -> Played {
    done(text, &Done::default(), until)
}

fn said(played: &Played) -> Vec<(u64, &str)> {
    played.lines.iter().map(|line| (line.at.as_secs(), &*line.text)).collect()
}

#[test]
fn a_script_sees_what_others_write_from_then_on() {
    let text = "while [ ! -f /go ]; do sleep 1; done; cat /go; sleep 5";
    let change = |at: u64, content: Option<&str>| Change {
        at: Duration::from_secs(at),
        path: "/go".into(),
        content: content.map(|text| text.as_bytes().to_vec()),
    };
    let changes = Done { changes: vec![change(3, Some("now\n")), change(6, None)], term: None };
    let before = done(text, &changes, 2);
    assert!(before.ended.is_none() && before.files.is_empty());
    let after = done(text, &changes, 60);
    assert_eq!(said(&after), [(3, "now")]);
    assert_eq!(after.ended, Some((Duration::from_secs(8), 0)));
    assert!(after.files.is_empty());
}

#[test]
fn ls_names_what_is_in_a_folder() {
    let text = "echo 1 > /etc/app/a; echo 2 > /etc/app/b; echo 3 > /etc/app/sub/c; echo 4 > /etc/app/..data; ";
    let listed = |ls: &str| {
        said(&played(&format!("{text}{ls}"), 1)).into_iter().map(|(_, line)| line.to_owned()).collect::<Vec<_>>()
    };
    for (ls, names) in [
        ("ls /etc/app", vec!["a", "b", "sub"]),
        ("ls -a /etc/app/", vec!["..data", "a", "b", "sub"]),
        ("ls /etc/app/a", vec!["/etc/app/a"]),
        ("ls /etc/app/sub /etc", vec!["/etc/app/sub:", "c", "/etc:", "app"]),
        ("ls /none || echo $?", vec!["ls: /none: No such file or directory", "1"]),
    ] {
        assert_eq!(listed(ls), names, "{ls}");
    }
}

#[test]
fn a_trap_runs_when_term_comes_also_while_a_command_sleeps() {
    let loops = "while true; do echo tick; sleep 10; done";
    for (text, ended, lines) in [
        ("trap 'echo bye; sleep 2; exit 7' TERM; sleep 60", Some((7, 7)), vec![(5, "bye")]),
        (&format!("trap 'echo bye $NAME; exit' TERM; {loops}"), Some((5, 0)), vec![(0, "tick"), (5, "bye ada")]),
        (&format!("trap 'echo no' TERM; {loops}"), None, vec![(0, "tick"), (5, "no"), (10, "tick")]),
        ("trap 'echo late; exit 1' SIGTERM; tail -f /dev/null", Some((5, 1)), vec![(5, "late")]),
        ("trap '' TERM; sleep 8; echo over", Some((8, 0)), vec![(8, "over")]),
        ("trap 'exit 1' TERM; trap - TERM; sleep 8", Some((8, 0)), vec![]),
        ("trap 'exit 1' TERM; exec sleep 8", Some((8, 0)), vec![]),
        ("trap 'exit 1' USR1; sleep 8", Some((8, 0)), vec![]),
        ("sleep 6; trap 'exit 1' TERM; sleep 2", Some((8, 0)), vec![]),
    ] {
        let played = done(text, &Done { term: Some(Duration::from_secs(5)), ..Done::default() }, 15);
        assert_eq!(played.ended.map(|(at, code)| (at.as_secs(), code)), ended, "{text}");
        assert_eq!(said(&played), lines, "{text}");
        assert!(done(text, &Done::default(), 4).ended.is_none(), "{text}: nothing has come yet");
    }
}

#[test]
fn what_stands_behind_a_dollar_is_put_in() {
    for (word, expected) in [
        ("$(cat /f) and $(cat /f)", "one and one"),
        ("\"<$(echo $(echo deep))>\"", "<deep>"),
        ("a$(X=2; echo $X)b$X", "a2b"),
        ("$(NAME) ${NAME} $NAME", "ada ada ada"),
        ("${NAME:-eve} ${NONE:-eve} ${EMPTY:-eve} ${EMPTY-eve}.", "ada eve eve ."),
        ("${NONE:-${NAME}} ${NONE:-a b} \"${NONE:-$(cat /f)}\"", "ada a b one"),
        ("${NAME:+yes} ${NONE:+no}${NONE+no}.", "yes ."),
        ("${NONE:=kept} $NONE", "kept kept"),
        ("$(cat /none)$?", "1"),
        ("$((2 + 3 * 4)) $(( (2+3)*4 )) $((7 % 4 - -1)) $((NONE + 1))", "14 20 4 1"),
        ("$(( $(cat /f) + 1 ))$((1 / 0))$?", "12"),
    ] {
        let played = played(&format!("echo one > /f; echo {word}"), 1);
        let last = played.lines.iter().rfind(|line| line.stream == Stream::Stdout).unwrap();
        assert_eq!(last.text, expected, "{word}");
    }
    let slow = played("echo $(sleep 3; echo late); echo never", 2);
    assert!(slow.ended.is_none() && slow.lines.is_empty());
    assert_eq!(said(&played("echo $(sleep 3; echo late)", 9)), [(3, "late")]);
}

#[test]
fn scripts_end_as_they_would() {
    for (text, ended, lines) in [
        ("exit 3", Some((0, 3)), vec![]),
        ("false", Some((0, 1)), vec![]),
        ("true", Some((0, 0)), vec![]),
        ("sleep 5; exit 1", Some((5, 1)), vec![]),
        ("echo hello $NAME; exit 2", Some((0, 2)), vec!["hello ada"]),
        ("echo \"hello ${NAME}\" 'and $NAME'", Some((0, 0)), vec!["hello ada and $NAME"]),
        ("false || echo saved", Some((0, 0)), vec!["saved"]),
        ("false && echo never; echo end", Some((0, 0)), vec!["end"]),
        ("sleep 3600", None, vec![]),
        ("nonsense", Some((0, 127)), vec!["sh: nonsense: not found"]),
        ("while true; do echo tick; sleep 5; done", None, vec!["tick", "tick", "tick"]),
        ("for i in 1 2 3; do echo $i; sleep 1; done", Some((3, 0)), vec!["1", "2", "3"]),
        ("if [ -f /x ]; then echo yes; else echo no; fi", Some((0, 0)), vec!["no"]),
        ("if false; then echo yes; fi", Some((0, 0)), vec![]),
        ("if true; then false; fi", Some((0, 1)), vec![]),
        ("n=0; while [ $n -lt 3 ]; do n=$((n + 1)); echo $n; sleep 1; done", Some((3, 0)), vec!["1", "2", "3"]),
        ("touch /x && cat /x > /y; test -f /y && echo there", Some((0, 0)), vec!["there"]),
        ("echo wrong >&2; echo fine 2>&1; cat; exit 3", Some((0, 3)), vec!["wrong", "fine"]),
        ("tail -f /dev/null", None, vec![]),
        ("while true; do :; done", None, vec![]),
    ] {
        let played = played(text, 10);
        assert_eq!(played.ended.map(|(at, code)| (at.as_secs(), code)), ended, "{text}");
        assert_eq!(played.lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), lines, "{text}");
    }
}

#[test]
fn files_come_and_go_with_time() {
    let text = "touch /tmp/healthy; sleep 30; rm -f /tmp/healthy; sleep 600";
    assert!(played(text, 29).files.contains_key("/tmp/healthy"));
    assert!(!played(text, 31).files.contains_key("/tmp/healthy"));
}
