-- Each column has the name of its property, if only as an alias: a column of the sorting key cannot be renamed.
ALTER TABLE recent ADD COLUMN destinations_configured UInt32 ALIAS destinations;
ALTER TABLE recent ADD COLUMN destinations_configured_database_access UInt32 ALIAS destinations_database;
ALTER TABLE recent ADD COLUMN destinations_configured_kubernetes_access UInt32 ALIAS destinations_kubernetes;
ALTER TABLE recent ADD COLUMN destinations_configured_application_access UInt32 ALIAS destinations_application;
ALTER TABLE starts ADD COLUMN destinations_configured UInt32 ALIAS destinations;
ALTER TABLE starts ADD COLUMN destinations_configured_database_access UInt32 ALIAS destinations_database;
ALTER TABLE starts ADD COLUMN destinations_configured_kubernetes_access UInt32 ALIAS destinations_kubernetes;
ALTER TABLE starts ADD COLUMN destinations_configured_application_access UInt32 ALIAS destinations_application
