//! Transfers that work, and those that are broken off.

use super::super::FilesSettings;
use super::super::folder::{PART_PREFIX, Root, part_name};
use super::{Browser, bytes, digest, folder, names};
use bramble_wire::files::{FromFiles, Problem, ToFiles, WINDOW};
use bramble_wire::signalling::Direction;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{Duration, SystemTime};

#[test]
fn an_upload_arrives_whole_for_its_owner_alone_and_is_reported() {
    let (_place, root) = folder();
    fs::create_dir(root.join("sub")).expect("made");
    let mut browser = Browser::at(&root);
    let content = bytes(300_000);
    assert_eq!(browser.upload("sub", "ü .txt", 300_000), FromFiles::Ready { id: 1, offset: 0 });
    browser.send(&content);
    assert!(!root.join("sub/ü .txt").exists(), "it has its name before it is whole");
    assert_eq!(browser.finish(&digest(&content)), FromFiles::Stored { id: 1 });
    let file = root.join("sub/ü .txt");
    assert_eq!(fs::read(&file).expect("reads"), content);
    assert_eq!(fs::metadata(&file).expect("there").permissions().mode() & 0o7777, 0o600);
    assert_eq!(names(&root.join("sub")), ["ü .txt"]);
    let report = browser.leave().pop().expect("a report");
    assert_eq!((report.direction, report.name.as_str()), (Direction::Upload, "sub/ü .txt"));
    assert_eq!((report.size, report.bytes, report.sha256), (300_000, 300_000, Some(digest(&content))));
}

#[test]
fn empty_files_go_both_ways() {
    let (_place, root) = folder();
    let mut browser = Browser::at(&root);
    browser.upload("", "empty", 0);
    assert_eq!(browser.finish(&digest(b"")), FromFiles::Stored { id: 1 });
    assert_eq!(browser.download("", "empty", 0), Ok((Vec::new(), digest(b""))));
}

#[test]
fn an_upload_broken_off_at_99_percent_goes_on_where_it_was() {
    let (_place, root) = folder();
    let content = bytes(1_000_000);
    let mut browser = Browser::at(&root);
    browser.upload("", "big", 1_000_000);
    browser.send(&content[..990_000]);
    let report = browser.leave().pop().expect("a report");
    assert_eq!((report.size, report.bytes, report.sha256), (1_000_000, 990_000, None));
    assert!(names(&root)[0].starts_with(PART_PREFIX));

    let mut browser = Browser::at(&root);
    assert!(browser.list("").0.is_empty(), "what is unfinished is shown");
    assert_eq!(browser.upload("", "big", 1_000_000), FromFiles::Ready { id: 1, offset: 990_000 });
    browser.send(&content[990_000..]);
    assert_eq!(browser.finish(&digest(&content)), FromFiles::Stored { id: 1 });
    assert_eq!(fs::read(root.join("big")).expect("reads"), content);
    let report = browser.leave().pop().expect("a report");
    assert_eq!((report.bytes, report.sha256.is_some()), (10_000, true));
}

#[test]
fn another_version_of_a_file_begins_anew() {
    let (_place, root) = folder();
    let mut browser = Browser::at(&root);
    browser.upload("", "a", 100);
    browser.send(&[1; 50]);
    browser.leave();
    let mut browser = Browser::at(&root);
    let (folder, name, stamp) = (String::new(), "a".to_owned(), "8".to_owned());
    browser.say(ToFiles::Upload { id: 1, folder, name, size: 100, stamp });
    assert_eq!(browser.hear(), FromFiles::Ready { id: 1, offset: 0 });
}

#[test]
fn a_cancelled_upload_leaves_nothing() {
    let (_place, root) = folder();
    let mut browser = Browser::at(&root);
    browser.upload("", "a", 100);
    browser.send(b"hello");
    browser.say(ToFiles::Cancel { id: 9 });
    browser.say(ToFiles::Cancel { id: 1 });
    browser.list("");
    assert!(names(&root).is_empty());
}

#[test]
fn a_name_of_255_bytes_goes_both_ways_and_one_with_a_line_break_can_be_fetched() {
    let (_place, root) = folder();
    let long = "ä".repeat(127) + "x";
    let mut browser = Browser::at(&root);
    browser.upload("", &long, 2);
    browser.send(b"ok");
    assert_eq!(browser.finish(&digest(b"ok")), FromFiles::Stored { id: 1 });
    assert_eq!(browser.download("", &long, 0), Ok((b"ok".to_vec(), digest(b"ok"))));
    fs::write(root.join("a\nb"), "line").expect("written");
    assert!(browser.list("").0.iter().any(|entry| entry.name == "a\nb"));
    assert_eq!(browser.download("", "a\nb", 0), Ok((b"line".to_vec(), digest(b"line"))));
}

#[test]
fn a_download_goes_on_at_an_offset_with_the_digest_of_the_whole() {
    let (_place, root) = folder();
    let content = bytes(6_000_000);
    assert!(content.len() as u64 > WINDOW);
    fs::write(root.join("big"), &content).expect("written");
    let mut browser = Browser::at(&root);
    assert_eq!(browser.download("", "big", 0), Ok((content.clone(), digest(&content))));
    assert_eq!(browser.download("", "big", 5_999_999), Ok((content[5_999_999..].to_vec(), digest(&content))));
    assert_eq!(browser.download("", "big", 6_000_000), Ok((Vec::new(), digest(&content))));
    assert_eq!(browser.download("", "big", 6_000_001), Err(Problem::Changed));
    assert_eq!(browser.download("", "none", 0), Err(Problem::Missing));
    let reports = browser.leave();
    assert_eq!(reports.iter().map(|report| report.bytes).collect::<Vec<_>>(), [6_000_000, 1, 0]);
}

#[test]
fn ten_thousand_files_are_listed() {
    let (_place, root) = folder();
    for n in 0..10_000 {
        fs::write(root.join(format!("file {n:05}.txt")), "").expect("written");
    }
    fs::create_dir(root.join("zzz")).expect("made");
    let (entries, hidden, more) = Browser::at(&root).list("");
    assert_eq!((entries.len(), hidden, more), (10_001, 0, false));
    assert!(entries[0].folder && entries[0].name == "zzz");
    assert!(entries[1..].is_sorted_by(|a, b| a.name < b.name));
}

#[test]
fn what_was_given_up_a_week_ago_is_removed() {
    let (_place, root) = folder();
    let (old, new) = (root.join(part_name("old")), root.join(part_name("new")));
    let day = |many: u64| SystemTime::UNIX_EPOCH + Duration::from_hours(24 * (20_000 + many));
    for (path, at) in [(&old, day(0)), (&new, day(2))] {
        fs::write(path, "x").expect("written");
        fs::File::options().write(true).open(path).expect("opens").set_modified(at).expect("set");
    }
    assert!(Root::open(&root).expect("opens").list("", day(8)).expect("lists").entries.is_empty());
    assert!(!old.exists() && new.exists());
}

#[test]
fn a_folder_that_was_written_by_hand_is_below_the_home() {
    let root =
        |text: &str| FilesSettings::of_current_user(Some(text.as_ref())).expect("a home").root().to_owned();
    let usual = FilesSettings::of_current_user(None).expect("a home").root().to_owned();
    let home = usual.parent().expect("a parent");
    assert!(usual.ends_with("Bramble") && home.is_absolute());
    assert_eq!(root("~/in"), home.join("in"));
    assert_eq!(root("in"), home.join("in"));
    assert_eq!(root("/srv/in"), std::path::Path::new("/srv/in"));
}

#[test]
fn the_folder_is_made_for_its_owner_alone() {
    let (place, _) = folder();
    let root = place.path().join("home/Bramble");
    FilesSettings::at(&root).look().expect("made");
    assert_eq!(fs::metadata(&root).expect("there").mode() & 0o777, 0o700);
    fs::write(place.path().join("file"), "").expect("written");
    assert!(FilesSettings::at(place.path().join("file")).look().is_err());
}
