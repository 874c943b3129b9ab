"""Genomes: the configurations of agents with their lineage, studies that look for better ones, canaries, rollback."""
