//! The words by which transactions of the default categories are recognised (BUD-T3), in English, Spanish, German,
//! French, Czech and Bulgarian, and the names of chains that trade across borders. Matching ignores accents and case and
//! takes whole words only. A word stands for one category.
//!
//! The rules as a whole are `keywords@1`: a change of this table is `keywords@2`, for a recorded engine must tell which
//! rules were applied.

/// Words by category, separated by commas.
pub(super) const KEYWORDS: &[(&str, &str)] = &[
    (
        "rent",
        "rent,rental,landlord,lease,mortgage,housing,alquiler,arrendamiento,hipoteca,casero,miete,kaltmiete,warmmiete,\
         vermieter,hausverwaltung,loyer,bailleur,hypothèque,nájem,nájemné,hypotéka,pronájem,наем,хазяин,ипотека",
    ),
    (
        "utilities",
        "electricity,electric,power company,water bill,gas bill,energy,heating,internet,broadband,telecom,mobile plan,\
         phone bill,utilities,utility,electricidad,luz,agua,gas natural,calefacción,telefonía,strom,stadtwerke,wasserwerk,\
         heizung,telekom,électricité,chauffage,eau,engie,edf,elektřina,plyn,vodné,teplo,vodárny,energie,čez,\
         електричество,ток,вода,парно,топлофикация,софийска вода,електрохолд,виваком,vodafone,verizon,comcast,t mobile",
    ),
    (
        "insurance",
        "insurance,insurer,assurance vie,seguro,seguros,aseguradora,versicherung,haftpflicht,allianz,axa,assurance,mutuelle,\
         pojištění,pojišťovna,pojistné,застраховка,застраховане,geico,state farm,generali,булстрад,дзи",
    ),
    (
        "debt",
        "loan,loan payment,credit card payment,repayment,student loan,préstamo,crédito,deuda,cuota,kredit,darlehen,ratenzahlung,\
         tilgung,prêt,remboursement,crédit,půjčka,úvěr,splátka,кредит,заем,вноска,дълг",
    ),
    (
        "groceries",
        "grocery,groceries,supermarket,market,food store,butcher,bakery,greengrocer,supermercado,mercado,panadería,\
         carnicería,frutería,supermarkt,lebensmittel,bäckerei,metzgerei,markt,supermarché,épicerie,boulangerie,boucherie,\
         potraviny,pekárna,řeznictví,večerka,супермаркет,хранителни стоки,хранителен магазин,пекарна,месарница,плод зеленчук,\
         walmart,kroger,aldi,lidl,tesco,carrefour,mercadona,rewe,edeka,kaufland,billa,penny,albert,auchan,leclerc,\
         trader joes,whole foods,safeway,фантастико,билла,лидл,кауфланд",
    ),
    (
        "transport",
        "taxi,bus,train,metro,subway station,transit,parking,fuel,gas station,petrol,gasoline,toll,car wash,ticket machine,\
         gasolina,gasolinera,autobús,tren,aparcamiento,peaje,tankstelle,benzin,bahn,bahnhof,fahrkarte,parkhaus,maut,\
         essence,station service,péage,stationnement,benzín,čerpací stanice,vlak,autobus,parkování,jízdenka,mhd,\
         бензин,бензиностанция,автобус,влак,такси,паркинг,метрополитен,винетка,uber,lyft,bolt,shell,bp,omv,repsol,aral,esso,\
         sncf,ratp,renfe,deutsche bahn,české dráhy,бдж,лукойл",
    ),
    (
        "health",
        "pharmacy,drugstore,doctor,dentist,hospital,clinic,medical,optician,farmacia,médico,dentista,clínica,óptica,apotheke,\
         arzt,zahnarzt,krankenhaus,klinik,optiker,praxis,pharmacie,médecin,dentiste,hôpital,clinique,opticien,lékárna,lékař,\
         zubař,nemocnice,klinika,optika,аптека,лекар,зъболекар,болница,клиника,оптика,cvs,walgreens",
    ),
    (
        "clothing",
        "clothing,clothes,apparel,shoes,footwear,fashion,ropa,calzado,zapatos,zapatería,kleidung,mode,schuhe,vêtements,\
         chaussures,oblečení,obuv,boty,móda,дрехи,обувки,облекло,мода,zara,h m,uniqlo,primark,c a,deichmann,nike,adidas,\
         decathlon",
    ),
    (
        "personal_care",
        "hairdresser,barber,salon,beauty,cosmetics,spa,perfume,peluquería,barbería,belleza,cosmética,friseur,kosmetik,drogerie,\
         parfümerie,coiffeur,coiffure,beauté,parfumerie,cosmétiques,kadeřnictví,kosmetika,parfumerie douglas,holičství,фризьор,\
         козметика,бръснар,салон за красота,sephora,dm drogerie,rossmann,douglas",
    ),
    (
        "home_goods",
        "furniture,hardware store,home improvement,household,garden center,home depot,muebles,ferretería,hogar,jardinería,\
         möbel,baumarkt,haushalt,haushaltswaren,meubles,bricolage,quincaillerie,jardinerie,nábytek,železářství,domácí potřeby,\
         zahradnictví,мебели,железария,дом и градина,домакински,ikea,obi,bauhaus,hornbach,leroy merlin,castorama,jysk,практикер",
    ),
    (
        "dining",
        "cafe,coffee,coffee shop,fast food,lunch,takeaway,takeout,canteen,snack,pizza,burger,kebab,sandwich,food delivery,\
         cafetería,café,comida rápida,almuerzo,comedor,kaffee,imbiss,kantine,mensa,mittagessen,döner,déjeuner,cantine,\
         salon de thé,restauration rapide,kavárna,káva,oběd,jídelna,rychlé občerstvení,bistro,кафе,кафене,обяд,столова,\
         закуска,бързо хранене,дюнер,starbucks,mcdonalds,burger king,kfc,subway,dunkin,costa coffee,dominos,uber eats,\
         doordash,deliveroo,wolt,glovo,foodora",
    ),
    (
        "restaurants",
        "restaurant,restaurants,bar,pub,brewery,steakhouse,sushi,trattoria,dinner,grill,restaurante,taberna,cena,marisquería,\
         gaststätte,gasthaus,wirtshaus,brauhaus,kneipe,abendessen,brasserie,dîner,crêperie,restaurace,hospoda,pivnice,večeře,\
         hostinec,ресторант,механа,вечеря,кръчма,бирария",
    ),
    (
        "entertainment",
        "cinema,movie,movies,theater,theatre,concert,museum,zoo,tickets,arcade,bowling,nightclub,cine,teatro,concierto,museo,\
         entradas,kino,konzert,eintrittskarten,freizeitpark,cinéma,théâtre,billetterie,musée,divadlo,koncert,muzeum,vstupenky,\
         кино,театър,концерт,музей,билети,ticketmaster,eventim,playstation,xbox,nintendo,steam games",
    ),
    (
        "hobbies",
        "hobby,hobbies,craft,crafts,book,books,bookstore,bookshop,music store,gym,fitness,sports club,yoga,photography,librería,\
         libros,gimnasio,manualidades,buchhandlung,bücher,fitnessstudio,basteln,sportverein,librairie,livres,salle de sport,\
         loisirs,knihy,knihkupectví,posilovna,koníčky,sportovní klub,книги,книжарница,спортен клуб,хоби,barnes noble,thalia,\
         fnac,michaels",
    ),
    (
        "shopping",
        "shopping,department store,mall,electronics,gift,gifts,online store,compras,grandes almacenes,electrónica,regalo,\
         einkaufszentrum,kaufhaus,elektronik,geschenk,grand magasin,électronique,cadeau,centre commercial,obchodní dům,\
         elektronika,dárek,nákupní centrum,търговски център,електроника,подарък,мол,amazon,ebay,target,best buy,aliexpress,\
         mediamarkt,saturn,alza,el corte inglés,emag,temu",
    ),
    (
        "subscriptions",
        "subscription,membership,streaming,cloud storage,suscripción,abono,abonnement,mitgliedschaft,adhésion,předplatné,\
         členství,абонамент,членство,netflix,spotify,disney plus,hulu,youtube premium,apple com bill,icloud,google one,\
         hbo max,audible,prime video,patreon,dropbox,microsoft 365",
    ),
    (
        "travel",
        "hotel,hostel,airline,flight,airport,airbnb,travel agency,cruise,vacation,car rental,vuelo,aerolínea,aeropuerto,\
         viaje,viajes,agencia de viajes,vacaciones,flug,fluggesellschaft,flughafen,reisebüro,reise,urlaub,pension,hôtel,vol,\
         aéroport,agence de voyage,voyage,vacances,letenka,letiště,cestovní kancelář,dovolená,penzion,хотел,хостел,полет,летище,\
         туристическа агенция,почивка,пътуване,booking com,expedia,lufthansa,ryanair,wizz air,air france,iberia,delta air",
    ),
    (
        "emergency_savings",
        "emergency fund,rainy day fund,fondo de emergencia,notgroschen,rücklage,fonds d urgence,épargne de précaution,rezerva,\
         finanční rezerva,спешен фонд,резерв",
    ),
    (
        "goal_savings",
        "savings,savings account,savings goal,ahorro,ahorros,cuenta de ahorro,sparen,sparkonto,sparplan,tagesgeld,épargne,\
         livret a,spoření,spořicí účet,úspory,спестявания,спестовна сметка",
    ),
    (
        "investments",
        "investment,investments,brokerage,broker,stocks,mutual fund,etf,pension fund,inversión,inversiones,acciones,\
         fondo de inversión,geldanlage,aktien,depot,investition,wertpapiere,investissement,bourse,placement,actions,investice,\
         akcie,podílový fond,инвестиции,акции,взаимен фонд,vanguard,fidelity,trade republic,etoro,degiro,interactive brokers",
    ),
];
