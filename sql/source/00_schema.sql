-- The extension's schema. Everybody may look; the functions beneath check for the right to replicate.
\echo Use "CREATE EXTENSION walferry" to load this file. \quit
GRANT USAGE ON SCHEMA walferry TO PUBLIC;
