//! The power is cut, or the updater killed, at every point at which that would leave something else
//! behind: the board always starts one of its two systems, and the server learns what is true.

use super::board::{Board, deployment, is_cut, order, script, system, system_with_script, trust};
use bramble_agent::update::{
    engine::Point,
    record::{Outcome, Phase},
};
use std::{collections::HashSet, fmt::Write as _};

/// How a life of the process ends before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Fault {
    /// Everything goes, with what was asked of the firmware.
    PowerCut,
    /// The updater alone; a restart that was asked for happens.
    Kill,
}

#[derive(Debug, Clone, Copy)]
struct Story {
    name: &'static str,
    artefact: fn() -> Vec<u8>,
    /// What a person does with a tried system.
    then: Then,
    /// What becomes of it without a fault.
    succeeds: bool,
    new_system: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Commit,
    RollBack,
}

const STORIES: [Story; 6] = [
    Story {
        name: "script",
        artefact: || script("#!/bin/sh\necho hello\n"),
        then: Then::Commit,
        succeeds: true,
        new_system: false,
    },
    Story {
        name: "script that asks for a restart",
        artefact: || script("#!/bin/sh\nexit 2\n"),
        then: Then::Commit,
        succeeds: true,
        new_system: false,
    },
    Story {
        name: "script that fails",
        artefact: || script("#!/bin/sh\necho no space for it\nexit 1\n"),
        then: Then::Commit,
        succeeds: false,
        new_system: false,
    },
    Story {
        name: "system",
        artefact: || system_with_script("#!/bin/sh\n"),
        then: Then::Commit,
        succeeds: true,
        new_system: true,
    },
    Story {
        name: "system that does not start",
        artefact: || system(false),
        then: Then::Commit,
        succeeds: false,
        new_system: false,
    },
    Story {
        name: "system that is rolled back",
        artefact: || system(true),
        then: Then::RollBack,
        succeeds: false,
        new_system: false,
    },
];

/// What the server heard, and what is true.
#[derive(Debug)]
struct End {
    reported: Outcome,
    default: u32,
    running: u32,
    points: Vec<Point>,
    trace: String,
}

/// One life of the service and the daemon. `Err`: it ended before its time.
async fn live(board: &Board, story: Story, artefact: &(String, String)) -> Result<Option<Outcome>, ()> {
    let engine = board.engine();
    engine.recover().map_err(drop)?;
    let due = |result: Result<bool, bramble_agent::update::engine::Refusal>| match result {
        Ok(due) => Ok(due),
        Err(refusal) if is_cut(&refusal) => Err(()),
        Err(other) => panic!("{other}"),
    };
    if due(engine.restart_if_due())? {
        return Ok(None);
    }
    let standing = engine.standing();
    if standing.phase == Phase::Trying {
        // The new system reached the server.
        let result = match story.then {
            Then::Commit => engine.commit(),
            Then::RollBack => engine.rollback(),
        };
        match result {
            Ok(()) => {}
            Err(refusal) if is_cut(&refusal) => return Err(()),
            Err(other) => panic!("{other}"),
        }
    } else if standing.outcome.is_none() {
        // The server says again what it ordered; the time is a later one.
        let (order, signature) = order(1, &artefact.0, &artefact.1, 1000);
        match engine.accept(&trust(), order, &signature) {
            Ok(accepted) => engine.work(accepted).await.map_err(drop)?,
            Err(refusal) if is_cut(&refusal) => return Err(()),
            Err(other) => panic!("{other}"),
        }
        due(engine.restart_if_due())?;
    }
    let standing = engine.standing();
    assert_eq!(standing.deployment, Some(deployment(1)));
    Ok(standing.outcome)
}

async fn play(story: Story, partition: u32, cuts: &[usize], fault: Fault) -> End {
    let board = Board::running(partition);
    board.steps.cut_at(cuts);
    let artefact = board.artefact("artefact", &(story.artefact)());
    let (mut reported, mut trace, mut running) = (None, String::new(), partition);
    for _ in 0..12 {
        let ended = live(&board, story, &artefact).await;
        let asked = board.switch.asked();
        let _ = write!(trace, "{ended:?} {asked:?}; ");
        if let Ok(Some(outcome)) = &ended {
            reported = Some(outcome.clone());
        }
        match (ended, asked) {
            (Err(()), _) if fault == Fault::PowerCut => running = board.boot(false),
            (_, Some(tryboot)) => running = board.boot(tryboot),
            (Ok(_), None) if reported.is_some() => break,
            _ => {}
        }
    }
    let points = board.steps.seen();
    let _ = write!(trace, "{points:?}");
    let reported = reported.unwrap_or_else(|| panic!("the server never heard: {trace}"));
    // One more start, to see that it stays like this.
    let last = board.engine();
    assert_eq!(last.standing().outcome.as_ref(), Some(&reported), "{trace}");
    assert_eq!(board.left_behind(), 0, "{trace}");
    End { reported, default: board.default_partition(), running, points, trace }
}

/// Whatever happened: what was reported is what is there.
fn is_true(story: Story, partition: u32, end: &End) {
    let new = 5 - partition;
    assert_eq!(end.running, end.default, "{story:?}: {}", end.trace);
    if story.new_system || story.name.starts_with("system") {
        let succeeded = end.reported == Outcome::Succeeded;
        assert_eq!(end.default == new, succeeded, "{story:?} {:?}: {}", end.reported, end.trace);
    } else {
        assert_eq!(end.default, partition, "{story:?}");
    }
    if !story.succeeds {
        assert!(matches!(end.reported, Outcome::Failed(_)), "{story:?}: {}", end.trace);
    }
}

#[tokio::test]
async fn a_fault_at_any_step_leaves_a_device_that_starts_and_a_server_that_knows() {
    let (mut faults, mut points, mut covered) = (0, 0, HashSet::new());
    for story in STORIES {
        for partition in [2, 3] {
            let undisturbed = play(story, partition, &[], Fault::PowerCut).await;
            assert_eq!(undisturbed.reported == Outcome::Succeeded, story.succeeds, "{}", undisturbed.trace);
            assert_eq!(undisturbed.default != partition, story.new_system, "{}", undisturbed.trace);
            points += undisturbed.points.len();
            for fault in [Fault::PowerCut, Fault::Kill] {
                for (at, point) in (1..).zip(&undisturbed.points) {
                    let end = play(story, partition, &[at], fault).await;
                    assert_eq!(end.points.get(at - 1), Some(point), "the same until then: {}", end.trace);
                    is_true(story, partition, &end);
                    covered.insert((partition, fault, *point));
                    faults += 1;
                }
            }
        }
    }
    // A step that nobody thought of here is no step without a fault: `Point::all` names it, or a file changed
    // between two others.
    let all = Point::all();
    for partition in [2, 3] {
        for fault in [Fault::PowerCut, Fault::Kill] {
            let missed: Vec<_> =
                all.iter().filter(|point| !covered.contains(&(partition, fault, **point))).collect();
            assert!(missed.is_empty(), "slot {partition}, no {fault:?} at {missed:?}");
        }
    }
    assert_eq!(covered.len(), 4 * all.len(), "a point is missing in Point::all: {covered:?}");
    assert_eq!(faults, 2 * points);
    println!(
        "{} stories, both slots: {points} points passed, {faults} power cuts and kills; each of the {} steps had both in \
         both slots",
        STORIES.len(),
        all.len()
    );
}

/// A second fault while the first is being mended.
#[tokio::test]
async fn two_faults_in_a_row_change_nothing() {
    let mut faults = 0;
    for story in STORIES.into_iter().filter(|story| story.name.starts_with("system")) {
        let points = play(story, 2, &[], Fault::PowerCut).await.points.len();
        for first in 1..=points {
            for second in [1, 2, 3, 5] {
                let end = play(story, 2, &[first, first + second], Fault::PowerCut).await;
                is_true(story, 2, &end);
                faults += 1;
            }
        }
    }
    println!("{faults} pairs of power cuts");
}

#[tokio::test]
async fn one_that_stops_the_device_again_and_again_is_given_up() {
    let board = Board::running(2);
    let (uri, checksum) = board.artefact("artefact", &script("#!/bin/sh\n"));
    let mut last = None;
    for n in 0..10 {
        let engine = board.engine();
        engine.recover().expect("recovers");
        let (order, signature) = order(1, &uri, &checksum, 1000);
        let before = board.steps.seen().len();
        // Just after the download began.
        board.steps.cut_at(&[before + 2]);
        match engine.accept(&trust(), order, &signature) {
            Err(refusal) if is_cut(&refusal) => {}
            Err(refusal) => {
                last = Some((n, refusal.to_string(), engine.standing().outcome));
                break;
            }
            Ok(_) => panic!("it was to be cut"),
        }
    }
    let (n, words, outcome) = last.expect("it ends");
    assert_eq!((n, words.as_str()), (6, "this deployment is over already"));
    assert!(matches!(outcome, Some(Outcome::Failed(why)) if why.contains("stopped 5 times")));
}
