"""The words that tasks are made of: common, short, and each in one list only.

`pools` cuts each list into the splits' parts, so a word has one split.
"""

from __future__ import annotations

THINGS = """
anchor apron arrow attic badge barrel basket bench blanket bottle bridge broom brush bucket button cabin
cable camera candle canvas carpet castle ceiling chain chair chimney clock coin compass cottage couch cradle
curtain desk diamond door drawer drum engine envelope fence ferry fiddle flag flute forest fountain frame
garage garden gate glass globe guitar hammer harbor helmet hill hotel island jar jewel journal kettle
keyboard kitchen kite ladder lake lamp lantern laptop library lighter locket magnet mailbox map marble
market meadow medal mirror motor mountain museum nail napkin necklace needle notebook novel ocean office
organ oven paddle painting palace paper parcel pencil piano picture pillow planet plate pocket poster quilt
radio railing ribbon river robot rocket roof rope ruler saddle sailboat school scooter shelf shovel signal
sofa spoon stable stamp statue stone street suitcase table teapot telescope temple tent theater thread
ticket torch tower tractor train trumpet tunnel umbrella valley vase vault village violin wagon wallet
warehouse wheel whistle window wire yard
"""

ANIMALS = """
badger bat bear beaver bee camel cat cheetah cow cobra deer dog dolphin donkey flamingo eagle elephant
falcon fox frog goat gorilla hamster hawk horse kangaroo lion lizard monkey moose mouse otter owl panda
parrot penguin pig pigeon rabbit raccoon rat rhino seal shark sheep snake spider squirrel swan tiger turtle
walrus whale wolf zebra
"""

FOODS = """
almond apple bacon bagel banana bean biscuit bread broccoli burger butter cabbage cake carrot cheese cherry
cookie cucumber garlic grape honey jam lemon lettuce mango melon muffin mushroom noodle olive onion orange
pancake pasta peach peanut pear pie pizza plum potato pumpkin rice salad sandwich sausage soup spinach
strawberry tomato waffle walnut yogurt
"""

CLOTHES = """
anorak belt beret blouse bonnet cap cape cardigan cloak coat dress gown hat hoodie jacket jumper kimono parka
poncho raincoat robe sari scarf shawl shirt skirt suit sweater sweatshirt swimsuit tie tunic turban tuxedo
uniform veil vest waistcoat
"""

NAMES = """
Aaron Alice Amir Anna Ben Bruno Carla Chloe Clara Daniel Diego Dora Elena Emma Erik Farah Felix Fiona George
Grace Hana Henry Hugo Ivan Iris Jack Jonas Julia Kai Karen Laura Leo Lina Lucas Maria Mark Maya Mia Milo
Nadia Nina Noah Nora Olga Oliver Omar Oscar Paula Pedro Peter Rita Rosa Ruth Sam Sara Simon Sofia Tara Theo
Thomas Tina Victor Wendy Yara Zoe
"""

CITIES = """
Accra Amsterdam Athens Austin Baghdad Bangkok Barcelona Beijing Berlin Boston Brussels Budapest Cairo
Chicago Copenhagen Dakar Dallas Delhi Denver Dublin Geneva Glasgow Hamburg Hanoi Havana Helsinki Houston
Istanbul Jakarta Kyoto Lagos Lima Lisbon London Madrid Manila Melbourne Miami Milan Montreal Moscow Mumbai
Munich Nairobi Naples Osaka Oslo Paris Prague Rome Seattle Seoul Shanghai Singapore Stockholm Sydney Tokyo
Toronto Vienna Warsaw Zurich
"""

PRAISE = """
amazing beautiful brilliant charming comfortable delicious delightful excellent fantastic flawless fun
gorgeous great helpful impressive lovely magnificent marvelous outstanding perfect pleasant reliable
splendid stunning superb terrific wonderful
"""

BLAME = """
annoying awful boring broken defective dirty disappointing dreadful dull faulty filthy flimsy frustrating
horrible lousy miserable nasty poor rude shabby terrible ugly unpleasant unreliable useless worthless
wretched
"""

KINDS: dict[str, tuple[str, ...]] = {
    "thing": tuple(THINGS.split()),
    "animal": tuple(ANIMALS.split()),
    "food": tuple(FOODS.split()),
    "clothing": tuple(CLOTHES.split()),
    "name": tuple(NAMES.split()),
    "city": tuple(CITIES.split()),
    "praise": tuple(PRAISE.split()),
    "blame": tuple(BLAME.split()),
}
