#!/usr/bin/env bash
# Guess: a selection of DEAP gives individuals that may be changed: copies, each for itself.
# Truth: it gives the parents themselves, good ones several times: a mutation changes the population and each double at once,
# and the fitness of before stays valid on the changed genes. Only toolbox.clone makes copies.
# Why it matters: a search over settings of agents loses its best candidate, reports its score for genes that never had it, and
# a canary gets what was not tried. Clone after selecting, and delete fitness.values after each change.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
python3 -m venv v && v/bin/pip install -q deap==1.4.4 numpy==2.4.6
cat >ask.py <<'P'
import random

from deap import base, creator, tools

random.seed(1)
creator.create("Fitness", base.Fitness, weights=(1.0,))
creator.create("Genome", list, fitness=creator.Fitness)
population = [creator.Genome([gene]) for gene in range(3)]
for genome in population:
    genome.fitness.values = (genome[0],)
chosen = tools.selBest(population, 1) + tools.selTournament(population, 3, tournsize=3)
best = population[2]
twice = sum(genome is best for genome in chosen) > 1
chosen[0][0] += 100
print(f"same object chosen twice {twice}, parent 2 is now {best[0]}", end=", ")
print(f"its fitness {best.fitness.values[0]} valid {best.fitness.valid}")
P
seen=$(v/bin/python ask.py)
echo "deap 1.4.4: $seen"
[ "$seen" = "same object chosen twice True, parent 2 is now 102, its fitness 2.0 valid True" ]
