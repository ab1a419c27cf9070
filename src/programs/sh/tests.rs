//! The shell's language, run for real: each script in its own shell, its output read from a pipe.

use std::io::Read;

use super::io::{Io, file};
use super::parse::{Wrong, parse};
use super::run::Shell;
use super::syntax::{Body, Joint, Part, Target, Word};

/// What a script prints on both streams, and the code it ends with.
fn sh(script: &str) -> (String, i32) {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let writer = file(writer);
    let nothing = std::sync::Arc::new(std::fs::File::open("/dev/null").unwrap());
    let mut text = String::new();
    let code = std::thread::scope(|scope| {
        let running = scope.spawn(move || {
            let io = Io::own().unwrap().with(0, nothing).with(1, writer.clone()).with(2, writer);
            let mut shell = Shell::new(vec!["sh".into(), "one".into(), "two words".into()]);
            shell.set("HOME", "/root");
            match parse(script) {
                Ok(list) => shell.run_subshell(&list, io),
                Err(_) => 99,
            }
        });
        reader.read_to_string(&mut text).unwrap();
        running.join().unwrap()
    });
    (text, code)
}

#[test]
fn scripts_do_what_posix_says() {
    for (script, printed, code) in [
        ("echo a   b 'c   d' \"e $((1+2))\"", "a b c   d e 3\n", 0),
        ("x=5; echo $x ${x} ${#x} ${y:-none} ${x:+set}", "5 5 1 none set\n", 0),
        ("f=a/b/c.txt; echo ${f##*/} ${f%.txt} ${f%%/*} ${f#*/}", "c.txt a/b/c a b/c.txt\n", 0),
        ("for i in 1 2 3; do [ $i = 2 ] && continue; echo $i; done", "1\n3\n", 0),
        ("i=0; while [ $i -lt 3 ]; do i=$((i+1)); echo $i; done", "1\n2\n3\n", 0),
        ("i=0; until [ $i -ge 2 ]; do i=$((i+1)); done; echo $i", "2\n", 0),
        ("while true; do echo x; break; done", "x\n", 0),
        ("case web-1 in db*) echo db;; web*|api*) echo web;; *) echo none;; esac", "web\n", 0),
        ("if false; then echo a; elif true; then echo b; else echo c; fi", "b\n", 0),
        ("f() { echo \"$1-$#\"; return 3; }; f a b; echo $?", "a-2\n3\n", 0),
        ("echo one | { read x; echo got $x; }", "got one\n", 0),
        ("echo b; echo a 1>&2; (echo sub; exit 4); echo $?", "b\na\nsub\n4\n", 0),
        ("false || echo saved; true && echo and; ! true; echo $?", "saved\nand\n1\n", 0),
        ("set -e; true; false; echo never", "", 1),
        ("set -e; if false; then :; fi; false || true; echo still", "still\n", 0),
        ("set -u; echo $missing", "sh: missing: parameter not set\n", 2),
        ("nonsense; echo $?", "sh: nonsense: not found\n127\n", 0),
        ("cat <<END | sed s/x/y/\nx $((2*3))\nEND", "y 6\n", 0),
        ("cat <<'END'\n$x `y`\nEND", "$x `y`\n", 0),
        ("echo $(echo a; echo b) \"$(printf 'c\\nd\\n')\"", "a b c\nd\n", 0),
        (
            "for a in \"$@\"; do echo \"<$a>\"; done; for a in $@; do echo $a; done",
            "<one>\n<two words>\none\ntwo\nwords\n",
            0,
        ),
        ("x='a b'; printf '<%s>' $x \"$x\"; echo", "<a><b><a b>\n", 0),
        ("echo ~ '~' a~", "/root ~ a~\n", 0),
        ("cd /; pwd; echo /et[c] /no*such", "/\n/etc /no*such\n", 0),
        ("x=1; (x=2; cd /tmp); echo $x", "1\n", 0),
        ("trap 'echo came' USR1; x=$(kill -USR1 $$; echo in); echo x=$x", "came\nx=in\n", 0),
        ("trap 'echo came; exit 3' USR1; echo in | { cat; kill -USR1 $$; }; echo not", "in\ncame\n", 3),
        ("trap 'x=came' USR1; kill -USR1 $$; while [ -z \"$x\" ]; do :; done; echo $x", "came\n", 0),
        ("sleep 0 & wait $!; echo $?", "0\n", 0),
        ("exit 7; echo never", "", 7),
        ("A=b env | grep '^A='; echo ${A:-unset}", "A=b\nunset\n", 0),
        ("yes | head -n 2", "y\ny\n", 0),
        ("echo \"a\\$b\\\"c\" 'd'\"'\"'e' \\# # comment", "a$b\"c d'e #\n", 0),
        ("command -v echo; type cd", "echo\ncd is a shell builtin\n", 0),
        ("eval 'x=3; echo $x'; shift; echo $1", "3\ntwo words\n", 0),
    ] {
        assert_eq!(sh(script), (printed.to_owned(), code), "{script}");
    }
}

#[test]
fn a_redirection_leads_where_it_says() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    let script =
        format!("echo one >{0}; echo two >>{0}; cat <{0}; nonsense 2>/dev/null; cat /no/such 2>&1", path.display());
    let (text, code) = sh(&script);
    assert!(text.starts_with("one\ntwo\ncat: ") && text.contains("No such file or directory"), "{text}");
    assert_eq!(code, 1);
    assert_eq!(sh("cat < /no/such; echo $?").0, "sh: can't open '/no/such': No such file or directory\n1\n");
}

#[test]
fn functions_that_never_end_are_stopped() {
    let (text, code) = sh("f() { f; }; f");
    assert!(text.contains("too often") && code == 2, "{text}");
}

#[test]
fn what_is_open_asks_for_more_and_what_is_wrong_says_so() {
    for text in [
        "if true",
        "while x; do",
        "for i in 1 2",
        "echo 'a",
        "echo \"a",
        "a |",
        "a &&",
        "case x in",
        "{ a",
        "( a",
        "cat <<E\nx",
        "echo $(",
        "a \\",
        "${x",
    ] {
        assert_eq!(parse(text), Err(Wrong::Incomplete), "{text}");
    }
    for (text, words) in
        [("fi", "\"fi\""), ("a ;; b", ";;"), ("| a", "\"|\""), ("a )", "\")\""), ("echo ${x!y}", "bad substitution")]
    {
        match parse(text) {
            Err(Wrong::Syntax(why)) => assert!(why.contains(words), "{text}: {why}"),
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn a_script_becomes_its_tree() {
    let list = parse("a=1 x 'b c' 2>&1 >f | y && z & # end\nfor i; do :; done").unwrap();
    assert_eq!(list.len(), 2);
    assert!(list[0].background);
    assert_eq!(list[0].chain[1].0, Joint::IfTrue);
    let first = &list[0].chain[0].1.commands[0];
    assert_eq!((first.redirects.len(), first.redirects[0].stream), (2, 2));
    let Body::Simple { assignments, words } = &first.body else { panic!("{first:?}") };
    assert_eq!((assignments[0].0.as_str(), words.len()), ("a", 2));
    assert_eq!(words[1], Word(vec![Part::Text { text: "b c".into(), quoted: true }]));
    assert!(matches!(&list[1].chain[0].1.commands[0].body, Body::For { words: None, .. }));
}

#[test]
fn here_documents_come_after_the_line() {
    let list = parse("cat <<A; cat <<'B'\none $x\nA\ntwo $x\nB\necho").unwrap();
    let here = |at: usize| match &list[at].chain[0].1.commands[0].redirects[0].to {
        Target::Here(word) => word.get().unwrap().0.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!((here(0).len(), list.len()), (3, 3));
    assert_eq!(here(1), [Part::Text { text: "two $x\n".into(), quoted: true }]);
}

#[test]
fn any_text_is_read_without_a_panic() {
    let pieces = ["if ", "$(", "${", "a", "'", "\"", "`", "<<E\n", ";", "\n", "(", ")", "}", "\\", "$((", "fi", " "];
    for seed in 0..20_000_usize {
        let mut text = String::new();
        let mut left = seed;
        while left > 0 {
            text.push_str(pieces[left % pieces.len()]);
            left /= pieces.len();
        }
        let _ = parse(&text);
    }
    assert!(parse(&"(".repeat(5000)).is_err());
    for open in ["$(", "${a:-", "\"${a:-", "f() ", "$(("] {
        assert!(parse(&open.repeat(5000)).is_err(), "{open}");
    }
}
