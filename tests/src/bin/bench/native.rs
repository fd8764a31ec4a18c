//! Native logical replication at its quickest: binary, in-progress transactions streamed.

use walferry_tests::Task;

/// A subscription of the task's destination to its source, with a slot that exists already.
pub struct Subscription<'a>(&'a Task);

const SLOT: &str = "bench_native";

impl<'a> Subscription<'a> {
    /// Publication, slot and subscription, not enabled.
    pub fn create(task: &'a Task) -> Self {
        task.source.execute("CREATE PUBLICATION bench FOR ALL TABLES");
        task.source.execute(&format!("SELECT pg_create_logical_replication_slot('{SLOT}', 'pgoutput')"));
        task.destination.execute(&format!(
            "CREATE SUBSCRIPTION bench CONNECTION '{}' PUBLICATION bench WITH (create_slot = false, slot_name = '{SLOT}',
                copy_data = false, enabled = false, binary = true, streaming = true)",
            task.source.url()
        ));
        Self(task)
    }

    /// Starts the apply worker.
    pub fn enable(&self) {
        self.0.destination.execute("ALTER SUBSCRIPTION bench ENABLE");
    }

    /// Ends the worker; drops subscription and slot.
    pub fn drop(self) {
        self.0.destination.execute("ALTER SUBSCRIPTION bench DISABLE");
        self.0.destination.execute("ALTER SUBSCRIPTION bench SET (slot_name = NONE)");
        self.0.destination.execute("DROP SUBSCRIPTION bench");
        let free = format!("SELECT NOT active FROM pg_replication_slots WHERE slot_name = '{SLOT}'");
        walferry_tests::wait_until("the slot is free", std::time::Duration::from_secs(30), || {
            self.0.source.value(&free) == "t"
        });
        self.0.source.execute(&format!("SELECT pg_drop_replication_slot('{SLOT}')"));
    }
}
