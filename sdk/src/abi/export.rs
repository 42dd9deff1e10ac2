//! The glue that [`crate::export_channel!`] puts into a plugin.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use abi_stable::prefix_type::PrefixTypeTrait;
use abi_stable::sabi_trait::TD_Opaque;
use abi_stable::std_types::{RErr, ROk, RString, RVec};
use async_ffi::{FfiFuture, FutureExt as _};

use crate::abi::{
    ChannelObject, HostObject, Opened, PluginModule, PluginModuleRef, RawChannel, RawChannel_TO,
};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::channel::Channel;
use crate::host::{Host, HostApi};
use crate::messages::{Health, OpenError};
use crate::panic::{caught, caught_now, install_hook};
use crate::strategy::Strategy;
use crate::wire::{Operation, PluginFailure, decode, encode};

/// What every kind of plugin is to the boundary: it opens, and does operations.
trait Plugin: Send + Sync + Sized + 'static {
    type Config: DeserializeOwned + JsonSchema + Send;

    fn open(
        config: Self::Config,
        host: Host,
    ) -> impl Future<Output = Result<Self, OpenError>> + Send;

    /// The encoded answer; `None`: there is no such operation.
    fn operate(
        &self,
        operation: Option<Operation>,
        payload: &[u8],
    ) -> impl Future<Output = Option<Vec<u8>>> + Send;
}

/// The module of a channel plugin.
pub fn module<C: Channel>() -> PluginModuleRef {
    module_of::<OfChannel<C>>()
}

/// The module of a strategy plugin.
pub fn strategy_module<S: Strategy>() -> PluginModuleRef {
    module_of::<OfStrategy<S>>()
}

fn module_of<P: Plugin>() -> PluginModuleRef {
    PluginModule { config_schema: config_schema::<P>, open: open::<P> }.leak_into_prefix()
}

struct OfChannel<C>(C);

impl<C: Channel> Plugin for OfChannel<C> {
    type Config = C::Config;

    async fn open(config: C::Config, host: Host) -> Result<Self, OpenError> {
        C::open(config, host).await.map(Self)
    }

    async fn operate(&self, operation: Option<Operation>, payload: &[u8]) -> Option<Vec<u8>> {
        let channel = &self.0;
        Some(match operation? {
            Operation::Receive => answer(payload, async |input| channel.receive(input).await).await,
            Operation::Send => answer(payload, async |input| channel.send(input).await).await,
            Operation::Verify => answer(payload, async |input| channel.verify(input).await).await,
            Operation::Health => answer(payload, async |()| channel.health().await).await,
            Operation::Close => answer(payload, async |()| channel.close().await).await,
            Operation::Rank => return None,
        })
    }
}

struct OfStrategy<S>(S);

impl<S: Strategy> Plugin for OfStrategy<S> {
    type Config = S::Config;

    async fn open(config: S::Config, host: Host) -> Result<Self, OpenError> {
        S::open(config, host).await.map(Self)
    }

    async fn operate(&self, operation: Option<Operation>, payload: &[u8]) -> Option<Vec<u8>> {
        match operation? {
            Operation::Rank => Some(answer(payload, async |input| self.0.rank(input).await).await),
            Operation::Health => {
                let ready = Health { ok: true, message: "ready".to_owned() };
                Some(answer(payload, async |()| ready.clone()).await)
            }
            Operation::Close => Some(answer(payload, async |()| self.0.close().await).await),
            Operation::Receive | Operation::Send | Operation::Verify => None,
        }
    }
}

extern "C" fn config_schema<P: Plugin>() -> RString {
    let schema = caught_now(|| {
        let schema = schemars::schema_for!(P::Config);
        serde_json::to_string_pretty(&schema).expect("a schema is JSON")
    });
    schema.unwrap_or_else(|failure| format!("{{\"description\":\"{failure}\"}}")).into()
}

extern "C" fn open<P: Plugin>(config: RVec<u8>, host: HostObject) -> FfiFuture<Opened> {
    install_hook();
    let host = Host::new(Arc::new(AbiHost(Arc::new(host))));
    async move {
        let opening = caught(async move {
            let mut json = serde_json::Deserializer::from_slice(&config);
            let config: P::Config =
                serde_path_to_error::deserialize(&mut json).map_err(|error| {
                    let path = error.path().to_string();
                    OpenError::config(path.trim_matches('.'), error.inner().to_string())
                })?;
            P::open(config, host).await
        });
        let error: Result<OpenError, PluginFailure> = match opening.await {
            Ok(Ok(plugin)) => {
                let shared = Shared { plugin: Arc::new(plugin) };
                let object: ChannelObject = RawChannel_TO::from_value(shared, TD_Opaque);
                return ROk(object);
            }
            Ok(Err(error)) => Ok(error),
            Err(failure) => Err(failure),
        };
        RErr(encode(&error).into())
    }
    .into_ffi()
}

/// A plugin's instance, shared by the calls in flight.
struct Shared<P> {
    plugin: Arc<P>,
}

impl<P: Plugin> RawChannel for Shared<P> {
    fn call(&self, operation: RString, payload: RVec<u8>) -> FfiFuture<RVec<u8>> {
        let plugin = self.plugin.clone();
        async move {
            let answer = caught(async move {
                let known = Operation::parse(&operation);
                plugin.operate(known, payload.as_slice()).await.unwrap_or_else(|| {
                    let unknown = format!("no operation `{operation}`");
                    encode(&Err::<(), _>(PluginFailure::NotUnderstood(unknown)))
                })
            });
            answer.await.unwrap_or_else(|failure| encode(&Err::<(), _>(failure))).into()
        }
        .into_ffi()
    }
}

/// Decodes the input, runs the operation, encodes the output.
async fn answer<I, O>(payload: &[u8], run: impl AsyncFnOnce(I) -> O) -> Vec<u8>
where
    I: serde::de::DeserializeOwned,
    O: serde::Serialize,
{
    match decode::<I>(payload) {
        Ok(input) => encode(&Ok::<O, PluginFailure>(run(input).await)),
        Err(message) => encode(&Err::<O, _>(PluginFailure::NotUnderstood(message))),
    }
}

/// The host on the other side of the boundary.
struct AbiHost(Arc<HostObject>);

impl HostApi for AbiHost {
    fn call(
        &self,
        operation: &'static str,
        payload: Vec<u8>,
    ) -> Pin<Box<dyn Future<Output = Vec<u8>> + Send>> {
        let answer = self.0.call(operation.into(), payload.into());
        Box::pin(async move { answer.await.into_vec() })
    }

    fn ask(&self, operation: &'static str, payload: &[u8]) -> Vec<u8> {
        self.0.ask(operation.into(), payload.to_vec().into()).into_vec()
    }
}

/// Exports a [`crate::Channel`] from this library: the last line of a plugin.
///
/// What isn't a channel can't be exported:
///
/// ```compile_fail
/// struct NotAChannel;
/// cordboard_sdk::export_channel!(NotAChannel);
/// ```
///
/// A manifest is checked when the plugin is compiled; its texts take no quotes:
///
/// ```compile_fail
/// use cordboard_sdk::{Manifest, __private::encode_manifest};
/// const WRONG: Manifest = Manifest {
///     name: "pa\"ger", version: "1", description: "", channel_kind: "messaging",
///     hosts: &[], secrets: &[], headers: &[], offers: &[], max_text: 160, idempotent_sends: false,
/// };
/// const BYTES: [u8; 4096] = encode_manifest(&WRONG);
/// # fn main() { println!("{}", BYTES[0]); }
/// ```
#[macro_export]
macro_rules! export_channel {
    ($channel:ty) => {
        $crate::__export!($channel, $crate::Channel, encode_manifest, module);
    };
}

/// Exports a [`crate::Strategy`] from this library: the last line of a plugin.
#[macro_export]
macro_rules! export_strategy {
    ($strategy:ty) => {
        $crate::__export!($strategy, $crate::Strategy, encode_strategy_manifest, strategy_module);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    ($plugin:ty, $kind:path, $encode:ident, $module:ident) => {
        const _: () = {
            use $crate::__private as sdk;

            // The host reads this from the file before any code of it runs.
            #[used]
            #[unsafe(link_section = ".cordboard.manifest")]
            static MANIFEST: [u8; sdk::MANIFEST_CAPACITY] =
                sdk::$encode(&<$plugin as $kind>::MANIFEST);

            fn module() -> sdk::PluginModuleRef {
                sdk::export::$module::<$plugin>()
            }

            extern "C" fn erased_module() -> sdk::abi_stable::library::RootModuleResult {
                sdk::abi_stable::library::__call_root_module_loader(module)
            }

            // What abi_stable's own export attribute expands to, without asking every plugin to
            // depend on abi_stable by name. The module is the one whose layout the header states.
            #[unsafe(export_name = "_1as_0lib_1header_0root_bmodule_bloader")]
            #[allow(non_upper_case_globals)]
            pub static HEADER: sdk::abi_stable::library::LibHeader = unsafe {
                sdk::abi_stable::library::LibHeader::from_constructor::<sdk::PluginModuleRef>(
                    erased_module,
                    sdk::abi_stable::library::CheckTypeLayout::Yes,
                )
            };
        };
    };
}

#[cfg(test)]
mod tests {
    // PLUG-01
    #[test]
    fn the_exported_symbol_is_the_one_that_abi_stable_looks_for() {
        let exported = concat!("_1as_0lib_1header_0root_bmodule_bloader", "\0");
        assert_eq!(std::str::from_utf8(crate::abi::MODULE_SYMBOL), Ok(exported));
    }
}
