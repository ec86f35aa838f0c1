"""The subjects of the ``retain`` part with what an answer has to mention.

Only prompts that the untouched base model (SmolLM2-135M-Instruct, float32, greedy) passes are kept: the
part measures what training loses, so the base stands at its ceiling by construction. Each line is ``subject
| accepted | accepted ...``; ``&`` joins groups of which each has to be mentioned.
"""

from __future__ import annotations

CAPITALS = """
France | Paris
Germany | Berlin
Greece | Athens
Austria | Vienna
Poland | Warsaw
Hungary | Budapest
Ireland | Dublin
Norway | Oslo
Sweden | Stockholm
Belgium | Brussels
the Netherlands | Amsterdam
Switzerland | Bern | Berne
Russia | Moscow
Egypt | Cairo
Kenya | Nairobi
Nigeria | Abuja
Ghana | Accra
Ethiopia | Addis Ababa
Japan | Tokyo
China | Beijing
South Korea | Seoul
Thailand | Bangkok
Vietnam | Hanoi
Indonesia | Jakarta
Iran | Tehran
Iraq | Baghdad
Australia | Canberra
New Zealand | Wellington
Canada | Ottawa
Cuba | Havana
Peru | Lima
Chile | Santiago
Ukraine | Kyiv | Kiev
Romania | Bucharest
Czech Republic | Prague
Ecuador | Quito
Nepal | Kathmandu
Saudi Arabia | Riyadh
"""

QUESTIONS = """
What do bees make? | honey
How many days are in a week? | seven | 7
How many months are in a year? | twelve | 12
How many legs does a spider have? | eight | 8
How many legs does a dog have? | four | 4
How many hours are in a day? | 24 | twenty-four
What color is the sky on a clear day? | blue
What color is snow? | white
Which planet do we live on? | Earth
Which planet is known as the Red Planet? | Mars
Which is the largest planet in the solar system? | Jupiter
What gas do humans need to breathe? | oxygen
What is the largest ocean on Earth? | Pacific
Which ocean lies between Europe and North America? | Atlantic
On which continent is Egypt? | Africa
On which continent is Brazil? | South America
On which continent is Spain? | Europe
Who wrote Romeo and Juliet? | Shakespeare
Who painted the Mona Lisa? | Leonardo | da Vinci
Who developed the theory of relativity? | Einstein
Who was the first person to walk on the moon? | Armstrong
Who invented the telephone? | Bell
What is the opposite of hot? | cold
What is the opposite of up? | down
What is the opposite of big? | small | little
What is the opposite of happy? | sad | unhappy
What is the opposite of day? | night
What is the opposite of fast? | slow
What is the opposite of old? | young | new
What is the opposite of light? | dark | darkness | heavy
What is the chemical symbol for water? | H2O
What is the chemical symbol for gold? | Au
What is the chemical formula of table salt? | NaCl
At what temperature in Celsius does water boil? | 100
At what temperature in Celsius does water freeze? | 0 | zero
What is the tallest mountain in the world? | Everest
What is the longest river in Africa? | Nile
Which is the largest animal on Earth? | whale
What language is spoken in Brazil? | Portuguese
What language is spoken in Mexico? | Spanish
What language is spoken in Germany? | German
What language is spoken in Japan? | Japanese
What currency is used in Japan? | yen
What currency is used in the United States? | dollar
What currency is used in the United Kingdom? | pound | sterling
What organ pumps blood through the body? | heart
What do we use to see? | eyes | eye
What do we use to hear? | ears | ear
What do plants need to make their food? | sunlight | light | photosynthesis
What do you call a person who teaches? | teacher
What do you call a person who writes books? | author | writer
What is the star at the center of our solar system? | Sun
What metal is attracted by magnets? | iron
In which country is the Eiffel Tower? | France
In which country is the Great Wall? | China
In which country are the pyramids of Giza? | Egypt
In which city is the Statue of Liberty? | New York
In which city is the Colosseum? | Rome
What is the main ingredient of bread? | flour
What is cheese made from? | milk
What is wine made from? | grapes | grape
What is paper made from? | wood | trees | pulp | cellulose
"""

EXPLAIN = """
a volcano | lava | magma | eruption | erupts
a hospital | patients | medical | sick | doctors
an island | water | sea | ocean
a rainbow | colors | light | rain
an earthquake | ground | shaking | plates | seismic | crust
a glacier | ice
a telescope | stars | objects | light | lenses
a thermometer | temperature
a compass | direction | north | navigation
a bicycle | wheels | pedals
a refrigerator | cool | cold | food
a democracy | people | vote | government
a novel | story | fiction | narrative
a poem | words | lines | literary | verse | rhythm
photosynthesis | light | sunlight & plants | plant
gravity | force | attraction
evaporation | liquid | water & gas | vapor
a virus | infect | cells | infectious | disease
a vaccine | disease | diseases | immune
a fossil | remains | preserved | organisms
a mammal | animals | animal | hair | fur | milk
a reptile | scales | cold-blooded | animals
a battery | electricity | energy | electrical
a computer | data | information | tasks
the internet | network | computers | information
recycling | waste | materials
inflation | prices | price
a bank | money | financial
a budget | money | income | expenses | spending
a contract | agreement
a vitamin | nutrients | nutrient | body | health
a planet | star | sun | orbits | celestial
a star | gas | hydrogen | light | celestial
the moon | Earth
a cloud | water
a tornado | wind | air | winds
a flood | water
a river | water
an orchestra | musicians | music | instruments
a symphony | music | musical
a sonnet | poem | poetry | lines | 14
an ecosystem | organisms | environment | living
a calendar | days | dates | months | time
a microscope | small | magnify | objects
"""

TOPICS = """
dogs | dog | dogs
cats | cat | cats
winter | winter | snow | cold
summer | summer | sun | warm
the ocean | ocean | sea | waves
mountains | mountain | mountains
coffee | coffee
tea | tea
music | music
reading | reading | read | books
friendship | friend | friends | friendship
family | family
school | school | students
cooking | cooking | cook
gardening | garden | gardening | plants
the moon | moon
rain | rain
trees | tree | trees
birds | bird | birds
horses | horse | horses
a birthday party | birthday | party
a picnic | picnic
a long journey | journey
a lost key | key
a kind neighbor | neighbor
a brave knight | knight
an old house | house
a small village | village
a sunny morning | sun | sunny | morning
football | football | soccer
dancing | dance | dancing
painting | painting | paint
trains | train | trains
airplanes | airplane | airplanes | planes
robots | robot | robots
chocolate | chocolate
breakfast | breakfast
sleep | sleep
exercise | exercise
healthy food | healthy | food | foods
the city of Paris | Paris
the city of London | London
the sun | sun
bees | bee | bees
honesty | honesty | honest
courage | courage
teachers | teacher | teachers
doctors | doctor | doctors
"""

PAST_TENSE = """
I walk to school. | walked
She plays the piano. | played
We visit our grandmother. | visited
They watch a movie. | watched
He cooks dinner. | cooked
I clean my room. | cleaned
She opens the window. | opened
I eat an apple. | ate
She goes to the park. | went
They write a letter. | wrote
I run in the morning. | ran
We buy some bread. | bought
They drive to the city. | drove
He reads a book. | read
I help my brother. | helped
We wait for the bus. | waited
They climb the hill. | climbed
He closes the door. | closed
I call my mother. | called
She washes the car. | washed
We dance all night. | danced
They jump over the fence. | jumped
I listen to the radio. | listened
She smiles at the child. | smiled
They start a new game. | started
He carries a heavy bag. | carried
I travel to Spain. | traveled | travelled
They take a photo. | took
He makes a cake. | made
I find a coin. | found
She gives me a book. | gave
They sell old cars. | sold
He speaks to the teacher. | spoke
I lose my keys. | lost
She wears a red dress. | wore
We meet at the station. | met
They build a bridge. | built
He feels happy. | felt
"""
