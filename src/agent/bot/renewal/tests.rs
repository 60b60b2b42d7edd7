use super::*;
use crate::agent::destination::target::{DirectoryTarget, WriteTarget};
use crate::agent::destination::writer::DestinationWriter;
use crate::agent::net::route::Route;
use crate::agent::platform::Environment;
use crate::agent::recordings::{copy_recorded_directory, recorded};
use crate::config::JoinMethod;

/// Returns a bot with this storage whose cluster cannot be reached.
fn bot(storage: Storage, destinations: Vec<NamedDestination>) -> Arc<Bot> {
    let (environment, clock) = (Environment::default(), Clock::system());
    let route = Route::new("127.0.0.1:1".parse().unwrap(), &environment, true, clock.clone()).unwrap();
    let dialler = Dialler::new(&route, &environment, None).unwrap();
    let join_settings = JoinSettings {
        method: JoinMethod::Token,
        address_field: AddressField::ProxyServer,
        trust: TrustSource::Nothing,
        token: Some(JoinTokenSource::new("a-token", JoinMethod::Token)),
        attestor: None,
        bound_keypair: None,
        ttl: Duration::from_secs(60 * 60),
        destinations,
    };
    let warnings = RecurringWarnings::new(clock.clone());
    Arc::new(Bot::new(storage, dialler, join_settings, clock, warnings))
}

#[tokio::test]
async fn the_stored_identity_is_read_after_the_response_in_flight_is_saved() {
    let directory = copy_recorded_directory("storage");
    let warnings = RecurringWarnings::new(Clock::system());
    let target = DirectoryTarget::with_defaults(directory.path());
    let bot = bot(Storage::open_directory(target, warnings).unwrap(), Vec::new());
    let in_flight = Arc::clone(&bot.in_flight).lock_owned().await;
    let mut obtained = Box::pin(bot.obtain_identity());
    tokio::select! {
        biased;
        obtained = &mut obtained => panic!("a request is in flight: {obtained:?}"),
        () = tokio::task::yield_now() => {}
    }
    // If the files are already being read, wait until they have been.
    bot.file_work.finished().await;
    // As the response would, this changes the files.
    std::fs::write(directory.path().join("key"), recorded("outputs/identity/key")).unwrap();
    drop(in_flight);
    let error = obtained.await.unwrap_err();
    assert!(matches!(error, RenewalError::Storage(StorageError::Damaged { .. })), "{error:?}");
}

#[tokio::test]
async fn a_join_that_is_cancelled_while_an_output_is_tested_leaves_no_files_of_the_test() {
    let [storage, output] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let warnings = RecurringWarnings::new(Clock::system());
    let target = WriteTarget::Directory(DirectoryTarget::with_defaults(output.path()));
    let destination = DestinationWriter::new("out", target, warnings.clone());
    let target = DirectoryTarget::with_defaults(storage.path());
    let bot = bot(
        Storage::open_directory(target, warnings).unwrap(),
        vec![NamedDestination {
            output: "out".to_owned(),
            destination: Arc::new(destination),
            files: Vec::new(),
        }],
    );
    let staged = output.path().join(".tbot-staged");
    let obtained = tokio::spawn({
        let bot = Arc::clone(&bot);
        async move { bot.obtain_identity().await }
    });
    while !staged.exists() && !obtained.is_finished() {
        tokio::task::yield_now().await;
    }
    obtained.abort();
    drop(obtained.await);
    bot.flush().await;
    bot.file_work.finished().await;
    assert!(!staged.exists());
}

#[test]
fn the_outcome_of_a_renewal_is_reported_only_for_the_identity_that_was_presented() {
    let directory = copy_recorded_directory("storage");
    let target = DirectoryTarget::with_defaults(directory.path());
    let storage = Storage::open_directory(target, RecurringWarnings::new(Clock::system())).unwrap();
    let identity = storage.load().unwrap().unwrap().identity;
    let bot = bot(storage, Vec::new());
    bot.record_outcome(&identity, RenewalOutcome::Mismatch(None));
    assert!(matches!(bot.outcome_for(&identity), RenewalOutcome::Mismatch(None)));
    lock(&bot.marked_renewal).as_mut().unwrap().presented = b"another certificate".to_vec();
    assert!(matches!(bot.outcome_for(&identity), RenewalOutcome::Unknown));
}
