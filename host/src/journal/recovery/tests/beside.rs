//! What lies beside the log of a host that was killed is damaged in its midst: SQLite reads it up to there, and what
//! stands behind that was acknowledged.

use super::pages::PAGE;
use super::*;
use crate::journal::wal::{ABOUT, HEAD};

/// A host was killed, and its tables are of before: all that it has said since lies beside its log.
async fn killed() -> (Life, PathBuf) {
    let mut life = Life::at_rest(20).await;
    let tables = tempfile::tempdir().unwrap();
    copy(&life.data(), tables.path());
    life.open();
    life.says(40).await;
    life.is_killed(false);
    let data = life.data();
    std::fs::remove_file(data.join(FILES[1])).unwrap();
    std::fs::copy(tables.path().join(FILES[0]), data.join(FILES[0])).unwrap();
    let sound = life.folder.path().join("sound");
    copy(&data, &sound);
    (life, sound)
}

// OPS-03 OPS-10
#[tokio::test]
async fn a_damaged_frame_beside_the_log_costs_only_what_stood_there() {
    let (life, sound) = killed().await;
    let data = life.data();
    let wal = std::fs::read(sound.join(FILES[3])).unwrap();
    let frames = wal[HEAD..].chunks(ABOUT + PAGE).count();
    assert!(frames > 50, "{frames}");
    type Harm = fn(&mut [u8], usize);
    let bit: Harm = |bytes, frame| bytes[ABOUT + 1_000 + frame % 3_000] ^= 1;
    let page: Harm = |bytes, _| bytes[ABOUT..].fill(0x7f);
    let all: Harm = |bytes, _| bytes.fill(0);
    let head: Harm = |bytes, frame| bytes[frame % ABOUT] ^= 0x40;
    let mut costs = [0; 4];
    for (frame, (kind, harm)) in (0..frames).flat_map(|frame| {
        [bit, page, all, head].into_iter().enumerate().map(move |harm| (frame, harm))
    }) {
        std::fs::remove_dir_all(&data).unwrap();
        copy(&sound, &data);
        let mut bytes = wal.clone();
        harm(&mut bytes[HEAD + frame * (ABOUT + PAGE)..][..ABOUT + PAGE], frame);
        std::fs::write(data.join(FILES[3]), bytes).unwrap();
        let case = format!("frame {frame} of {frames}, kind {kind}");
        // The last one is as if it had been under way.
        if wal::beside(&data.join(log::FILE)) == Wal::Whole {
            assert!(frame + 4 > frames, "{case}");
            continue;
        }
        assert!(SqliteLog::check(&data).is_err(), "{case}");
        match recover(&data, &[], Terms::default(), 1_000) {
            Ok(recovered) => {
                let recovered = recovered.unwrap();
                assert!(recovered.lost == 0 && !recovered.may_lack, "{case}: {recovered:?}");
                assert_eq!(there(&data).unwrap(), life.said, "{case}");
            }
            Err(NotDone::Refused(asks)) => {
                assert!(asks.to_string().contains("acknowledged"), "{case}: {asks}");
                costs[kind] += 1;
                let accepts = Terms { accepts_loss: true, ..Terms::default() };
                let recovered = recover(&data, &[], accepts, 2_000).unwrap().unwrap();
                let there = there(&data).unwrap();
                let missing = life.said.difference(&there).count() as u64;
                assert!(recovered.lost >= missing || recovered.may_lack, "{case}: {recovered:?}");
                assert!(missing > 0 || recovered.may_lack, "{case}: {recovered:?}");
                // A page has five of them.
                assert!(missing <= 6, "{case}: {missing} are missing, {recovered:?}");
            }
            Err(error) => panic!("{case}: {error}"),
        }
    }
    // A page is written again with each batch that comes to it: it costs something where that was the last one.
    println!("{costs:?} of {frames}");
    assert!(costs.iter().all(|cost| *cost < frames / 4), "{costs:?} of {frames}");
}

// OPS-03 OPS-10
#[tokio::test]
async fn a_damaged_head_beside_the_log_costs_nothing() {
    let (life, sound) = killed().await;
    let data = life.data();
    let wal = std::fs::read(sound.join(FILES[3])).unwrap();
    let harmed = |from: usize, to: usize| {
        std::fs::remove_dir_all(&data).unwrap();
        copy(&sound, &data);
        let mut bytes = wal.clone();
        bytes[from..to].iter_mut().for_each(|byte| *byte = !*byte);
        std::fs::write(data.join(FILES[3]), bytes).unwrap();
        let refused = SqliteLog::check(&data).unwrap_err().to_string();
        assert!(refused.contains("damaged in the midst"), "{from} to {to}: {refused}");
    };
    for byte in 0..HEAD {
        harmed(byte, byte + 1);
        let recovered = recover(&data, &[], Terms::default(), 1_000).unwrap().unwrap();
        assert!(recovered.lost == 0 && !recovered.may_lack, "{byte}: {recovered:?}");
        assert_eq!(there(&data).unwrap(), life.said, "{byte}");
    }
    // With the first frame, in which that start has noted its run: so it is asked.
    harmed(0, PAGE);
    assert!(matches!(recover(&data, &[], Terms::default(), 1_000), Err(NotDone::Refused(_))));
    let accepts = Terms { accepts_loss: true, ..Terms::default() };
    recover(&data, &[], accepts, 2_000).unwrap().unwrap();
    assert_eq!(there(&data).unwrap(), life.said);
}
