//! A queue's actor.

use std::sync::Arc;

use actix::{Actor, Context, Handler, Message};
use cordboard_core::Effects;
use cordboard_core::ids::QueueId;
use cordboard_core::queue::{Input, Queue};
use cordboard_core::time::Timestamp;

use crate::actors::directory::Directory;
use crate::clock;

/// A queue and where its effects go.
pub struct QueueActor {
    machine: Queue,
    directory: Arc<Directory>,
}

impl QueueActor {
    /// Around a machine that recovery has filled.
    pub fn new(machine: Queue, directory: Arc<Directory>) -> Self {
        Self { machine, directory }
    }
}

impl Actor for QueueActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(1024);
    }
}

/// An input for the machine.
#[derive(Message)]
#[rtype(result = "()")]
pub struct TellQueue(pub Input);

impl Handler<TellQueue> for QueueActor {
    type Result = ();

    fn handle(&mut self, message: TellQueue, _: &mut Self::Context) {
        let mut fx = Effects::new();
        self.machine.handle(message.0, clock::now(), &mut fx);
        self.directory.carry_out(None, fx.then);
    }
}

/// Asks what a queue looks like.
#[derive(Message)]
#[rtype(result = "QueueView")]
pub struct LookAtQueue;

/// A queue as dashboards show it.
#[derive(Clone, Debug, actix::MessageResponse)]
pub struct QueueView {
    /// Which.
    pub id: QueueId,
    /// Items in it, offered ones included.
    pub items: usize,
    /// Since when the oldest waits.
    pub oldest: Option<Timestamp>,
}

impl Handler<LookAtQueue> for QueueActor {
    type Result = QueueView;

    fn handle(&mut self, _: LookAtQueue, _: &mut Self::Context) -> QueueView {
        QueueView {
            id: self.machine.id().clone(),
            items: self.machine.len(),
            oldest: self.machine.oldest(),
        }
    }
}
