"""What can be spoken of in a world: concepts named by English glosses, their classes and their oppositions.

The inventory is the same in every world; what a seed decides is how each language says it.
"""

from __future__ import annotations


def _table(text: str) -> dict[str, tuple[str, ...]]:
    rows = [line.partition(":") for line in text.strip().splitlines()]
    return {key.strip(): tuple(words.split()) for key, _, words in rows}


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# Classes of nouns, most frequent members first.
NOUNS = _table("""
role: farmer baker merchant teacher doctor sailor smith hunter singer chef painter soldier judge gardener
kin: friend brother neighbour child guest
fruit: apple pear plum mango
food: bread cheese cake soup egg honey
drink: coffee tea milk wine
tool: key hammer lamp knife rope axe needle
container: box basket bag pot
clothing: coat hat shirt belt
vehicle: boat cart train bus
writing: book letter map picture
treasure: ring coin crown jewel
instrument: piano drum flute guitar
beast: dog horse cat cow goat sheep wolf bear
bird: hen crow owl duck
furniture: table chair bed door
building: house market shop school inn mill castle hospital hotel museum
outdoors: garden forest river hill field harbour bridge road
firm: bank club company paper
""")

# What a member of a class is also called; a class without one has no more general word.
HYPERNYMS = {
    "role": "person",
    "kin": "person",
    "fruit": "fruit",
    "food": "meal",
    "drink": "drink",
    "tool": "tool",
    "container": "vessel",
    "clothing": "garment",
    "vehicle": "vehicle",
    "writing": "paperwork",
    "treasure": "treasure",
    "instrument": "instrument",
    "beast": "animal",
    "bird": "bird",
    "building": "building",
    "outdoors": "land",
}

# What each role deals in, and where.
GOODS = _table("""
farmer: cheese egg milk apple
baker: bread cake
merchant: coat ring lamp coffee
teacher: book map
doctor: tea honey
sailor: rope map
smith: hammer knife key axe
hunter: knife rope
singer: guitar drum flute
chef: soup pot wine
painter: picture
soldier: belt axe
judge: letter book
gardener: pear plum mango
""")
PLACES = _table("""
farmer: field hill
baker: shop house
merchant: market shop
teacher: school
doctor: hospital
sailor: harbour river
smith: bridge shop
hunter: forest hill
singer: inn hotel
chef: inn hotel
painter: museum garden
soldier: castle road
judge: castle house
gardener: garden
""")

# Sets of adjectives of which at most one holds of a thing.
QUALITIES = _table("""
colour: red green blue white black yellow
size: big small
age: old new
dirt: clean dirty
weight: heavy light
warmth: hot cold
character: kind cruel
wit: clever foolish
wealth: rich poor
mood: glad sad angry afraid
body: hungry tired sick healthy
""")
# Which of those sets a class of nouns is described by.
DESCRIBED = _table("""
role: character wit wealth
kin: character wit wealth
fruit: colour size
food: warmth size
drink: warmth
tool: age weight
container: colour weight size
clothing: colour dirt age
vehicle: colour age
writing: age size
treasure: size age
instrument: age weight
beast: colour size
bird: colour size
furniture: colour age
building: size age colour
outdoors: size
firm: age size
""")

VERBS = _words("""
go come see find lose seek buy sell give receive take bring carry keep put open close eat cook make repair
break write read send sing teach learn help thank love hate fear know remember forget live work sleep wait
flee chase lead follow visit meet ask answer leave arrive pay steal hide wash paint praise blame feed want
need ride have tell call hear play
""")
CONVERSES = (  # the verb, its converse, and the adposition of the third participant in each
    ("sell", "to", "buy", "from"),
    ("give", "to", "receive", "from"),
    ("lead", "", "follow", ""),
)
# Pairs of which the first may be the same word as the second; only the context tells which it is. No verb is
# paired with what it is done to, for that would read like a word that was written twice.
CONVERSIONS = (
    *(("read", "coin"), ("feed", "meal"), ("write", "shirt"), ("lead", "road"), ("ride", "cow")),
    *(("wash", "hat"), ("work", "tool"), ("hide", "needle"), ("gladly", "glad"), ("slowly", "tired")),
)
OPPOSITES = (("love", "hate"), ("remember", "forget"), ("open", "close"), ("praise", "blame"))
OPPOSITE = {verb: other for pair in OPPOSITES for verb, other in (pair, pair[::-1])}
ADPOSITIONS = ("in", "to", "from", "with", "on", "under", "near", "behind", "of", "for", "at")
TIMES = ("morning", "evening", "night", "noon", "summer", "winter", "spring", "autumn")
MANNERS = ("slowly", "quickly", "quietly", "gladly", "often", "again")
QUANTITIES = ("two", "three", "many")
LINKS = ("and", "then", "but", "because", "so")
QUESTIONS = ("who", "what", "where", "when")
# Function words that some types of language have: he, she and it are one word where there is no gender.
PARTICLES = ("be", "not", "the", "he", "she", "it", "they", "plural", "past", "question")
# Words that nearly every language takes over as they are, in Latin letters and without endings.
INTERNATIONAL = _words("""
merchant doctor singer soldier guest mango bread cake soup coffee tea lamp knife bag box coat belt boat train
bus map picture ring crown piano guitar horse bear owl chair hotel museum hospital inn market bridge harbour
bank club company
""")

CLASS_OF = {noun: kind for kind, nouns in NOUNS.items() for noun in nouns}
QUALITY_OF = {word: quality for quality, words in QUALITIES.items() for word in words}
ADJECTIVES = tuple(QUALITY_OF)
ALL_NOUNS = (*CLASS_OF, *dict.fromkeys(word for word in HYPERNYMS.values() if word not in CLASS_OF))
# Every concept that has a word: (part of speech, gloss), function words first.
CONCEPTS: tuple[tuple[str, str], ...] = (
    *(("PART", word) for word in PARTICLES),
    *(("ADP", word) for word in ADPOSITIONS),
    *(("CONJ", word) for word in LINKS),
    *(("PRON", word) for word in QUESTIONS),
    *(("NUM", word) for word in QUANTITIES),
    *(("ADV", word) for word in (*TIMES, *MANNERS)),
    *(("VERB", word) for word in VERBS),
    *(("ADJ", word) for word in ADJECTIVES),
    *(("NOUN", word) for word in ALL_NOUNS),
)
