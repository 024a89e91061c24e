"""What tends to happen in a world: story schemas, in the notation of ``notation.py``."""

from __future__ import annotations

from polymod.worlds.notation import compile_schemas

SOURCE = """
market C=baker+merchant+farmer+gardener O=goods:C P=market+shop
A need O | A want O
so A go to P
70% C be in P
A see O in P | A ask C: O be in ?P
60% O be +own
A buy O from C
60% C be +glad
then A carry O to H | then A bring O to H
A give O to B | A keep O in H
50% B thank A, because B want O

lost O=treasure+tool+clothing+writing P=outdoors+building Q=furniture+container
A have O
A love O | O be +own
A lose O in P
so A be +sad
A seek O in P
but A not find O
60% A ask B: O be in ?P
B find O under Q | B find O behind Q | B find O in Q
B bring O to A
A thank B, because A love O
50% A be +glad

journey O=vehicle P=place:A
A live in T
70% A be +role
A want O, because A visit U
A leave T
A ride in O with B | A follow B to U
60% O be +own
then A arrive in U
A meet C in U
C ask A: A live in ?T
A answer: A live in T
50% A be +tired, so A sleep in Q

work O=goods:A P=place:A
A be +role
A work for G
G be in T
60% G be +own
A make O for G | A repair O for G
60% O be +own
B buy O from G | G sell O to B
B praise A | B blame A, because O be +dirty
60% then A leave G
A live in U

meal F=fruit+food P=house+inn Q=container A=chef+baker+farmer
B be +hungry
so B come to P | so B go to P
A cook F in P | A bring F in Q
60% F be +own
A give F to B
B eat F
60% B praise F
then B be +glad | then B sleep in P
60% A wash Q, because Q be +dirty

theft O=treasure+picture+horse B=merchant+judge+farmer P=house+castle+museum Q=outdoors
B have O in P
O be +own
A steal O from B | A take O from P
B be +angry
so B seek A
A flee to Q | A hide O in Q
C see A in Q
C tell B: A be in Q | B ask C: A be in ?Q
then B find O in Q
50% B hate A | A give O to B, because A fear B

illness C=doctor P=hospital F=drink+fruit
A be +sick
so A go to P | so B call C
C come to A | C meet A in P
C give F to A
60% F be +own
A eat F | A take F, because C know A
A sleep in P
60% C visit A in P
then A be +healthy
A thank C | A pay C, because A be +rich

school C=teacher P=school O=writing+instrument
C work in P
C teach B | C teach A
A have O
60% O be +own
A learn in P with B
60% B forget O | B remember O
A read O | A write O in P
C praise A | C blame B
50% C ask B: O be in ?Q
then A love P | then A leave P

chase X=dog+cat+wolf Y=bird+sheep+goat P=outdoors Q=building+furniture+vehicle
X be in P
60% X be +own
Y come to P
X see Y | X hear Y
X chase Y
Y flee to Q, because Y fear X
A see X in P
60% but X not find Y
A take Y to R | A feed X
then X sleep under Q | then X wait behind Q

music O=instrument P=inn+market+castle A=singer W=treasure
A be +role
A have O
60% O be +own
A sing in P with O | A play O in P
B hear A
B love A | B give W to A
60% C hate A, so C leave P
B ask A: A live in ?U
A answer: A live in U
50% then A go to U

letter O=letter+book+map W=letter
A live in T
B live in U
A write O to B | A send O to B
60% O be +own
D bring O to B
B read O in H
60% B be +glad | B be +sad
then B go to T | then B write W to A
B meet A in T
50% but A not remember B

house P=building A=smith+farmer+painter O=furniture+container
P be in T
P be +own
A work in P with B
60% G sell P to A | G buy P from A
A paint P | A repair P
A make O in P
60% O be +own
then A put O in P
C come to P
C praise O, because O be +new
50% C buy O from A

animals A=farmer X=cow+goat+horse+sheep P=place:A F=milk+cheese+egg Q=market
A have X
X be +own
A lead X to P | X follow A to P
60% X be in P
A feed X
60% X be +hungry, so X come to A
A make F in P | A take F from X
then A carry F to Q
B buy F from A
50% B be +glad, because F be +own

key O=key D=soldier+judge P=door+box+house+castle Q=container+furniture
D keep O in Q
O be +own
A want O
D sleep in P
A take O from Q
A open P with O
60% A see B in P
D hear A
so D come to P | so A hide O under Q
D close P
60% D ask A: O be in ?Q
A answer: O be in Q | A flee from P

river O=vehicle P=river+harbour A=sailor+hunter X=beast+bird
A be in P
60% A be +role
A repair O | A wash O
O be +own
B come to P
B want O, because B visit U
A lead B to O | A follow B to O
60% X be behind P
B see X in P
then A bring B to U
60% B pay A
50% B remember P

quarrel O=vehicle+clothing+tool W=fruit+food+drink
A love B | A praise B
B take O from A | B break O
60% O be +own
A need O
so A be +angry
A blame B
C ask A: O be in ?P
60% C help A
then B bring O to A | then B buy W for A
50% A forget O | A love B
"""


SCHEMAS = compile_schemas(SOURCE)
