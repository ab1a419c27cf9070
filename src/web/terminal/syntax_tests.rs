//! What the terminal's reader makes of lines that learners type.

use super::*;

fn words(script: &Script, step: usize, command: usize) -> Vec<String> {
    let Kind::Simple { words, .. } = &script.0[step].commands[command].kind else { panic!("not simple: {script:?}") };
    let text = |piece: &Piece| match piece {
        Piece::Text { text, .. } => text.clone(),
        Piece::Variable { name, .. } => format!("<{name}>"),
        Piece::Output { .. } => "<$()>".to_owned(),
    };
    words.iter().map(|word| word.0.iter().map(text).collect()).collect()
}

#[test]
fn quotes_pipes_and_lists_are_told_apart() {
    let script = parse("kubectl get po -l 'a in (b,c)' | grep \"x $Y\" && echo \"it's\"\\ fine; date # later").unwrap();
    assert_eq!(words(&script, 0, 0), ["kubectl", "get", "po", "-l", "a in (b,c)"]);
    assert_eq!(words(&script, 0, 1), ["grep", "x <Y>"]);
    assert_eq!(words(&script, 1, 0), ["echo", "it's fine"]);
    assert_eq!((script.0[1].when, script.0[2].when, script.0.len()), (When::IfTrue, When::Always, 3));
}

#[test]
fn a_heredoc_belongs_to_the_line_before_it() {
    let script = parse("kubectl apply -f - <<EOF | wc -l\nkind: $KIND\n\\$x\nEOF\necho after").unwrap();
    assert_eq!(script.0.len(), 2);
    let Redirect::Here(body) = &script.0[0].commands[0].redirects[0] else { panic!("no heredoc") };
    assert_eq!(body.0[1], Piece::Variable { name: "KIND".into(), quoted: true });
    assert_eq!(body.0[2], Piece::Text { text: "\n$x\n".into(), quoted: true });
    let script = parse("cat > a.yaml <<'END'\n$x\nEND\n").unwrap();
    let redirects = &script.0[0].commands[0].redirects;
    assert_eq!(redirects[1], Redirect::Here(Word(vec![Piece::Text { text: "$x\n".into(), quoted: true }])));
}

#[test]
fn a_heredoc_inside_a_loop_is_found() {
    let script = parse("for i in 1 2; do\ncat <<X\nn $i\nX\ndone").unwrap();
    let Kind::For { body, .. } = &script.0[0].commands[0].kind else { panic!("no loop") };
    let Redirect::Here(text) = &body.0[0].commands[0].redirects[0] else { panic!("no heredoc") };
    assert_eq!(text.0[1], Piece::Variable { name: "i".into(), quoted: true });
}

#[test]
fn what_is_not_closed_waits_for_more() {
    for text in [
        "echo 'a",
        "echo \"a",
        "cat <<EOF\nx",
        "cat <<EOF",
        "for i in 1; do echo",
        "while true",
        "if true; then",
        "echo \\",
        "a |",
        "a &&",
        "echo $(date",
        "{ echo",
    ] {
        assert_eq!(parse(text), Err(Fault::Incomplete), "{text}");
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    for text in ["| a", "a >", "done", "fi", "sleep 1 &", "echo `date`", "echo ${x:-1}", "a (b)", ") x"] {
        assert!(matches!(parse(text), Err(Fault::Wrong(_))), "{text}: {:?}", parse(text));
    }
}

#[test]
fn a_thousand_brackets_are_refused_and_do_not_end_the_process() {
    assert!(parse(&"(".repeat(10_000)).is_err());
    assert!(parse(&"echo $(".repeat(10_000)).is_err());
}
