//! Names, links, races and limits.

use super::super::FilesSettings;
use super::super::folder::{PART_PREFIX, part_name};
use super::super::worker::{Event, Job};
use super::{Browser, bytes, digest, folder, names};
use bramble_wire::files::{FromFiles, Problem, ToFiles, WINDOW};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

#[test]
fn what_arrived_damaged_is_removed() {
    let (_place, root) = folder();
    let mut browser = Browser::at(&root);
    browser.upload("", "a", 5);
    browser.send(b"hellO");
    browser.say(ToFiles::Finish { id: 1, sha256: digest(b"hello") });
    assert_eq!(browser.problem(), Problem::Digest);
    assert!(names(&root).is_empty(), "{:?}", names(&root));
    assert_eq!(browser.leave().pop().expect("a report").sha256, None);
}

#[test]
fn what_grew_or_shrank_while_it_was_sent_is_no_file() {
    let (_place, root) = folder();
    let mut browser = Browser::at(&root);
    browser.upload("", "a", 5);
    browser.job(Job::Bytes(b"hello!".to_vec()));
    assert_eq!(browser.problem(), Problem::Changed);
    // The rest of it may still be on its way.
    browser.job(Job::Bytes(b"more".to_vec()));
    browser.upload("", "b", 5);
    browser.send(b"hell");
    browser.say(ToFiles::Finish { id: 1, sha256: digest(b"hell") });
    assert_eq!(browser.problem(), Problem::Changed);
    assert!(names(&root).iter().all(|name| name.starts_with(PART_PREFIX)));
}

#[test]
fn names_that_lead_elsewhere_or_are_none_are_refused() {
    let (place, root) = folder();
    fs::write(place.path().join("secret"), "secret").expect("written");
    fs::create_dir(root.join("sub")).expect("made");
    let long = "x".repeat(256);
    let mut browser = Browser::at(&root);
    for name in ["", ".", "..", "../secret", "a/b", "/etc/passwd", "a\0b", &long] {
        assert!(
            matches!(browser.upload("", name, 1), FromFiles::Failed { problem: Problem::Name, .. }),
            "{name:?}"
        );
        assert_eq!(browser.download("", name, 0), Err(Problem::Name), "{name:?}");
    }
    for name in ["a\nb", "a\rb", "a\tb", "\u{1b}[2J", "\u{85}", &part_name("00")] {
        assert!(
            matches!(browser.upload("", name, 1), FromFiles::Failed { problem: Problem::Name, .. }),
            "{name:?}"
        );
    }
    let deep = "sub/".repeat(300);
    for folder in ["..", ".", "/", "/etc", "sub/..", "sub/../..", "sub//", "sub/./", "../root", "a\0", &deep]
    {
        assert!(
            matches!(browser.upload(folder, "a", 1), FromFiles::Failed { problem: Problem::Name, .. }),
            "{folder:?}"
        );
        assert_eq!(browser.download(folder, "secret", 0), Err(Problem::Name), "{folder:?}");
        browser.say(ToFiles::List { folder: folder.to_owned() });
        assert_eq!(browser.problem(), Problem::Name, "{folder:?}");
    }
    browser.job(Job::Words(None));
    assert_eq!(browser.problem(), Problem::Protocol);
    assert_eq!(names(&root), ["sub"]);
    assert_eq!(names(place.path()), ["root", "secret"]);
}

#[test]
fn names_that_are_no_text_are_counted_and_not_shown() {
    let (_place, root) = folder();
    fs::write(root.join(std::ffi::OsStr::from_bytes(b"\xff\xfe")), "x").expect("written");
    fs::write(root.join("a"), "x").expect("written");
    let (entries, hidden, more) = Browser::at(&root).list("");
    assert_eq!((entries.len(), hidden, more), (1, 1, false));
}

#[test]
fn links_devices_and_pipes_are_neither_shown_nor_opened() {
    let (place, root) = folder();
    fs::write(place.path().join("secret"), "secret").expect("written");
    fs::create_dir(place.path().join("outside")).expect("made");
    fs::create_dir(root.join("sub")).expect("made");
    symlink("../secret", root.join("link")).expect("made");
    symlink("sub", root.join("inner")).expect("made");
    symlink("../outside", root.join("outer")).expect("made");
    symlink("nowhere", root.join("broken")).expect("made");
    let pipe = root.join("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("made");
    let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).expect("bound");
    let mut browser = Browser::at(&root);
    let (entries, hidden, _) = browser.list("");
    assert_eq!(entries.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>(), ["sub"]);
    assert_eq!(hidden, 6);
    // A pipe that is opened for reading would stand still until somebody writes.
    for name in ["link", "inner", "outer", "broken", "pipe", "socket", "sub"] {
        assert_eq!(browser.download("", name, 0), Err(Problem::Kind), "{name}");
        assert!(
            matches!(browser.upload("", name, 1), FromFiles::Failed { problem: Problem::Exists, .. }),
            "{name}"
        );
    }
    for folder in ["inner", "outer"] {
        assert!(matches!(browser.upload(folder, "a", 1), FromFiles::Failed { problem: Problem::Kind, .. }));
        browser.say(ToFiles::List { folder: folder.to_owned() });
        assert_eq!(browser.problem(), Problem::Kind);
    }
    assert!(names(&place.path().join("outside")).is_empty());
    // Only root can make one.
    let device = root.join("device");
    if mknodat(CWD, &device, FileType::CharacterDevice, Mode::RUSR, rustix::fs::makedev(1, 5)).is_ok() {
        assert_eq!(browser.download("", "device", 0), Err(Problem::Kind));
    }
}

#[test]
fn a_link_in_the_place_of_an_unfinished_upload_is_not_written_through() {
    let (place, root) = folder();
    let outside = place.path().join("outside");
    fs::write(&outside, "mine").expect("written");
    let mut browser = Browser::at(&root);
    browser.upload("", "a", 100);
    browser.send(b"hello");
    browser.leave();
    let part = root.join(&names(&root)[0]);
    fs::remove_file(&part).expect("removed");
    symlink(&outside, &part).expect("made");
    let mut browser = Browser::at(&root);
    assert!(matches!(browser.upload("", "a", 100), FromFiles::Failed { problem: Problem::Kind, .. }));
    assert_eq!(fs::read(&outside).expect("reads"), b"mine");
    fs::remove_file(&part).expect("removed");
    fs::hard_link(&outside, &part).expect("made");
    assert!(matches!(browser.upload("", "a", 100), FromFiles::Failed { problem: Problem::Denied, .. }));
    assert_eq!(fs::read(&outside).expect("reads"), b"mine");
}

#[test]
fn nothing_is_replaced() {
    let (_place, root) = folder();
    fs::write(root.join("a"), "mine").expect("written");
    let mut browser = Browser::at(&root);
    assert!(matches!(browser.upload("", "a", 1), FromFiles::Failed { problem: Problem::Exists, .. }));
    // Also not what has come while it was sent.
    browser.upload("", "b", 5);
    browser.send(b"hello");
    fs::write(root.join("b"), "mine").expect("written");
    browser.say(ToFiles::Finish { id: 1, sha256: digest(b"hello") });
    assert_eq!(browser.problem(), Problem::Exists);
    assert_eq!(names(&root), ["a", "b"]);
    assert_eq!(fs::read(root.join("b")).expect("reads"), b"mine");
}

#[test]
fn of_two_uploads_to_one_name_one_gets_it() {
    let (_place, root) = folder();
    let (mut one, mut two) = (Browser::at(&root), Browser::at(&root));
    one.upload("", "a", 5);
    one.send(b"hel");
    // The same file.
    assert!(matches!(two.upload("", "a", 5), FromFiles::Failed { problem: Problem::Busy, .. }));
    // Another one.
    two.upload("", "a", 3);
    two.send(b"two");
    one.send(b"lo");
    assert_eq!(one.finish(&digest(b"hello")), FromFiles::Stored { id: 1 });
    two.say(ToFiles::Finish { id: 1, sha256: digest(b"two") });
    assert_eq!(two.problem(), Problem::Exists);
    assert_eq!(fs::read(root.join("a")).expect("reads"), b"hello");
    assert_eq!(names(&root), ["a"]);
}

#[test]
fn a_session_carries_so_much_and_no_more() {
    let (_place, root) = folder();
    let settings = FilesSettings { limit: 1000, ..FilesSettings::at(&root) };
    fs::write(root.join("big"), bytes(1001)).expect("written");
    let mut browser = Browser::with(&settings);
    assert!(matches!(browser.upload("", "a", 1001), FromFiles::Failed { problem: Problem::Limit, .. }));
    assert_eq!(names(&root), ["big"], "an upload that was refused left something");
    assert_eq!(browser.download("", "big", 0), Err(Problem::Limit));
    assert_eq!(browser.download("", "big", 1).expect("sent").0.len(), 1000);
    assert!(matches!(browser.upload("", "a", 1), FromFiles::Failed { problem: Problem::Limit, .. }));
}

#[test]
fn more_than_the_disk_holds_is_refused_at_once() {
    let (_place, root) = folder();
    let settings = FilesSettings { limit: u64::MAX, ..FilesSettings::at(&root) };
    let mut browser = Browser::with(&settings);
    assert!(matches!(browser.upload("", "a", 1 << 60), FromFiles::Failed { problem: Problem::Full, .. }));
}

#[test]
fn a_download_stops_when_the_browser_takes_nothing_and_when_it_is_cancelled() {
    let (_place, root) = folder();
    fs::write(root.join("big"), vec![0; 20_000_000]).expect("written");
    let mut browser = Browser::at(&root);
    browser.say(ToFiles::Download { id: 5, folder: String::new(), name: "big".into(), offset: 0 });
    assert!(matches!(browser.hear(), FromFiles::Sending { .. }));
    let mut taken = 0;
    while taken < WINDOW {
        match browser.events.blocking_recv().expect("works") {
            Event::Bytes(bytes) => taken += bytes.len() as u64,
            Event::Words(words) => panic!("{words:?}"),
        }
    }
    assert_eq!(taken, WINDOW);
    // Whatever it claims, it gets no more than a window at once.
    browser.say(ToFiles::Cancel { id: 4 });
    browser.say(ToFiles::Cancel { id: 5 });
    assert_eq!(browser.list("").0.len(), 1);
    let report = browser.leave().pop().expect("a report");
    assert_eq!((report.bytes, report.sha256), (WINDOW, None));
}

#[test]
fn a_session_that_ends_leaves_nobody_who_reads_a_huge_file() {
    let (_place, root) = folder();
    let size = 1 << 40;
    fs::File::create(root.join("huge")).and_then(|file| file.set_len(size)).expect("a sparse file");
    let browser = Browser::at(&root);
    // All of it is read before the device answers: its digest is that of the whole file.
    let (folder, name) = (String::new(), "huge".to_owned());
    browser.say(ToFiles::Download { id: 1, folder, name, offset: size });
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || tell.send(browser.leave().len()));
    assert_eq!(told.recv_timeout(std::time::Duration::from_secs(20)), Ok(0));
}
