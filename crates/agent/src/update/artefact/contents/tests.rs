use super::*;
use proptest::prelude::*;

const EXAMPLE: &str = "\
# An example
artefact:
  name: kiosk-1.1
  version: 1.1
  description: it's vital # recommended
  device_type: rpi5

payloads:
- name: boot          # work/boot.sparse
  type: image-sparse
- name: data.tgz
  type: tmpfile
- name: installer
  type: script
";

fn names(text: &str) -> Vec<(String, Kind)> {
    let contents = Contents::parse(text.as_bytes()).expect(text);
    contents.payloads.into_iter().map(|payload| (payload.name, payload.kind)).collect()
}

fn problem(text: &str) -> String {
    Contents::parse(text.as_bytes()).expect_err(text).to_string()
}

#[test]
fn the_comment_after_a_name_is_its_source() {
    let contents = Contents::parse(EXAMPLE.as_bytes()).expect("the example");
    assert_eq!(contents.name.as_deref(), Some("kiosk-1.1"));
    assert_eq!(contents.version.as_deref(), Some("1.1"));
    assert_eq!(contents.payloads[0].source.as_deref(), Some("work/boot.sparse"));
    assert_eq!(contents.payloads[1].source, None);
    assert_eq!(
        names(EXAMPLE),
        [
            ("boot".into(), Kind::ImageSparse),
            ("data.tgz".into(), Kind::TmpFile),
            ("installer".into(), Kind::Script)
        ]
    );
    let bare = without_comments(EXAMPLE);
    assert!(!bare.contains('#') && bare.starts_with("artefact:\n  name: kiosk-1.1\n"), "{bare}");
    assert_eq!(names(&bare), names(EXAMPLE));
}

#[test]
fn payloads_may_be_nested_indented_quoted_and_in_any_order() {
    let script = [("a b".to_owned(), Kind::Script)];
    for text in [
        "payloads:\n- name: a b\n  type: script\n",
        "artefact:\n  name: x\n  payloads:\n  - name: a b\n    type: script\n  version: 2\n",
        "artefact:\n    payloads:\n      - type: \"script\"\n        name: 'a b'\n",
        "---\r\npayloads:\r\n    -\r\n        name: a b\r\n        type: script\r\n...\r\n",
        "\u{feff}payloads:\n  -   name: a b # x # y\n      type: script\nartefact:\n  name: z\n",
    ] {
        assert_eq!(names(text), script, "{text}");
    }
}

#[test]
fn unknown_fields_and_types_are_ignored() {
    let text = "\
later: {a: 1}
notes: |
  payloads:
  - name: not this
artefact:
  name: x
  tags:
  - one
  - name: two
  maker:
    name: deep
payloads:
- name: fancy
  type: hologram
  parts:
    - name: deep
      type: script
  mode: 3
- name: go
  type: script
- name: untyped
rest: 1
";
    let contents = Contents::parse(text.as_bytes());
    let contents = contents.expect("unknown things are no fault");
    assert_eq!(contents.name.as_deref(), Some("x"));
    let kinds: Vec<Kind> = contents.payloads.into_iter().map(|payload| payload.kind).collect();
    assert_eq!(kinds, [Kind::Unknown("hologram".into()), Kind::Script, Kind::Unknown(String::new())]);
}

#[test]
fn each_fault_says_where_and_what() {
    let nothing = "there is nothing to do: no script and no image";
    for (text, expected) in [
        ("", nothing),
        ("payloads: []", nothing),
        ("payloads:\n- name: a\n  type: tmpfile\n", nothing),
        ("payloads:\n- type: script\n", "line 2: this payload has no name"),
        ("payloads:\n- name: a\n  name: b\n", "line 3: this field is there twice"),
        ("payloads:\n- name: a\n\ttype: script", "line 3: indent with spaces, not with tabs"),
        ("payloads:\n- name: &a x", "line 2: only plain values on one line are understood here"),
        ("payloads:\n- {name: a}\n", "line 2: only plain values on one line are understood here"),
        ("payloads:\n- name: 'a", "line 2: the closing quote is missing"),
        ("payloads:\n  name: a", "line 2: a payload begins with `- name:`"),
        (
            "payloads:\n-   name: a\n  type: script",
            "line 3: this line is indented less than the ones before it",
        ),
        ("payloads:\npayloads:\n", "line 2: there is a second `payloads:`"),
        ("payloads: [a]", "line 1: write the payloads as a list, `- name:` on a line of its own for each"),
        ("hello", "line 1: write it as `field: value`"),
        ("payloads:\n- name: a\n  type: script\n- name: a\n", "it names the payload \"a\" twice"),
    ] {
        assert_eq!(problem(text), expected, "{text}");
    }
    assert_eq!(Contents::parse(&vec![b' '; MAX_LENGTH + 1]), Err(Fault::TooLong));
    assert_eq!(Contents::parse(b"a: \xff"), Err(Fault::NotText));
    let many = "- name: a\n  type: script\n".repeat(MAX_PAYLOADS + 1);
    assert_eq!(Contents::parse(format!("payloads:\n{many}").as_bytes()), Err(Fault::TooMany));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "([a-z]{1,3}|artefact|payloads|name|type|script|[:#\"'\\\\{}|& \t\n-]|: |\n- |\n  ){0,40}") {
        if let Ok(contents) = Contents::parse(text.as_bytes()) {
            let again = Contents::parse(without_comments(&text).as_bytes()).expect("comments carry nothing");
            let names = |contents: Contents| contents.payloads.into_iter().map(|p| (p.name, p.kind)).collect::<Vec<_>>();
            prop_assert_eq!(names(contents), names(again));
        }
    }

    #[test]
    fn any_name_in_quotes_is_kept(name in "[ -~é]{1,40}") {
        let quoted = name.replace('\'', "''");
        let text = format!("payloads:\n- name: '{quoted}' # from\n  type: script\n");
        prop_assert_eq!(names(&text), [(name, Kind::Script)]);
    }
}
