-- Operators may go back to the generation of a read model that served before.
ALTER TABLE annals.projection_interventions DROP CONSTRAINT projection_interventions_action_check;
ALTER TABLE annals.projection_interventions ADD CONSTRAINT projection_interventions_action_check
    CHECK (action IN ('retry', 'skip', 'drop', 'rollback'));
