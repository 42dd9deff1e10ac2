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
use crate::channel::Channel;
use crate::host::{Host, HostApi};
use crate::messages::OpenError;
use crate::panic::{caught, caught_now, install_hook};
use crate::wire::{Operation, PluginFailure, decode, encode};

/// The module of a channel plugin.
pub fn module<C: Channel>() -> PluginModuleRef {
    PluginModule { config_schema: config_schema::<C>, open: open::<C> }.leak_into_prefix()
}

extern "C" fn config_schema<C: Channel>() -> RString {
    let schema = caught_now(|| {
        let schema = schemars::schema_for!(C::Config);
        serde_json::to_string_pretty(&schema).expect("a schema is JSON")
    });
    schema.unwrap_or_else(|failure| format!("{{\"description\":\"{failure}\"}}")).into()
}

extern "C" fn open<C: Channel>(config: RVec<u8>, host: HostObject) -> FfiFuture<Opened> {
    install_hook();
    let host = Host::new(Arc::new(AbiHost(Arc::new(host))));
    async move {
        let opening = caught(async move {
            let mut json = serde_json::Deserializer::from_slice(&config);
            let config: C::Config =
                serde_path_to_error::deserialize(&mut json).map_err(|error| {
                    let path = error.path().to_string();
                    OpenError::config(path.trim_matches('.'), error.inner().to_string())
                })?;
            C::open(config, host).await
        });
        let error: Result<OpenError, PluginFailure> = match opening.await {
            Ok(Ok(channel)) => {
                let shared = Shared { channel: Arc::new(channel) };
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

/// A channel shared by the calls in flight.
struct Shared<C> {
    channel: Arc<C>,
}

impl<C: Channel> RawChannel for Shared<C> {
    fn call(&self, operation: RString, payload: RVec<u8>) -> FfiFuture<RVec<u8>> {
        let channel = self.channel.clone();
        async move {
            let answer = caught(operate(channel, operation, payload)).await;
            answer.unwrap_or_else(|failure| encode(&Err::<(), _>(failure))).into()
        }
        .into_ffi()
    }
}

async fn operate<C: Channel>(channel: Arc<C>, operation: RString, payload: RVec<u8>) -> Vec<u8> {
    let payload = payload.as_slice();
    match Operation::parse(&operation) {
        Some(Operation::Receive) => {
            answer(payload, async |request| channel.receive(request).await).await
        }
        Some(Operation::Send) => answer(payload, async |message| channel.send(message).await).await,
        Some(Operation::Verify) => {
            answer(payload, async |request| channel.verify(request).await).await
        }
        Some(Operation::Health) => answer(payload, async |()| channel.health().await).await,
        None => {
            let unknown = format!("no operation `{operation}`");
            encode(&Err::<(), _>(PluginFailure::NotUnderstood(unknown)))
        }
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
///     hosts: &[], secrets: &[], offers: &[], max_text: 160, idempotent_sends: false,
/// };
/// const BYTES: [u8; 4096] = encode_manifest(&WRONG);
/// # fn main() { println!("{}", BYTES[0]); }
/// ```
#[macro_export]
macro_rules! export_channel {
    ($channel:ty) => {
        const _: () = {
            use $crate::__private as sdk;

            // The host reads this from the file before any code of it runs.
            #[used]
            #[unsafe(link_section = ".cordboard.manifest")]
            static MANIFEST: [u8; sdk::MANIFEST_CAPACITY] =
                sdk::encode_manifest(&<$channel as $crate::Channel>::MANIFEST);

            fn module() -> sdk::PluginModuleRef {
                sdk::export::module::<$channel>()
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
