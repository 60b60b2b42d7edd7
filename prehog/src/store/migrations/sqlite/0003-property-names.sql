-- Each column has the name of its property.
ALTER TABLE starts RENAME COLUMN destinations TO destinations_configured;
ALTER TABLE starts RENAME COLUMN destinations_database TO destinations_configured_database_access;
ALTER TABLE starts RENAME COLUMN destinations_kubernetes TO destinations_configured_kubernetes_access;
ALTER TABLE starts RENAME COLUMN destinations_application TO destinations_configured_application_access;
